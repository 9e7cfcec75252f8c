"""Every repair of DynamoDB and EventBridge is still needed, and does what it says."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.integration.local_cloud.data_probes import PROBES
from tests.integration.local_cloud.data_rig import data_repairs


def _observe(mode: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.local_cloud.data_probes", mode],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    return {mode: _observe(mode) for mode in ("with", "without")}


def test_every_repair_has_its_probe() -> None:
    assert {repair.name for repair in data_repairs()} == set(PROBES)


@pytest.mark.parametrize("name", PROBES)
def test_moto_behaves_as_aws_with_the_repair(name: str, seen: dict[str, dict[str, Any]]) -> None:
    assert seen["with"][name] == PROBES[name][1]


@pytest.mark.parametrize("name", PROBES)
def test_moto_still_needs_the_repair(name: str, seen: dict[str, dict[str, Any]]) -> None:
    assert seen["without"][name] != PROBES[name][1], f"moto no longer has this defect: take {name} out"
