"""Every repair is still needed, and does what it says.

The probes run in processes of their own: what moto does without a repair may leave broken threads behind.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.local_cloud.stepfunctions_probes import PROBES
from tests.integration.local_cloud.stepfunctions_rig import stepfunctions_repairs

_MODULE = "tests.integration.local_cloud.stepfunctions_probes"


def _observe(mode: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", _MODULE, mode], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    modes = ("with", "without")
    with ThreadPoolExecutor(len(modes)) as pool:
        return dict(zip(modes, pool.map(_observe, modes), strict=True))


def test_every_repair_has_its_probe() -> None:
    assert {repair.name for repair in stepfunctions_repairs()} == set(PROBES)


@pytest.mark.parametrize("name", PROBES)
def test_moto_behaves_as_aws_with_the_repair(name: str, seen: dict[str, dict[str, Any]]) -> None:
    assert seen["with"][name] == PROBES[name][1]


@pytest.mark.parametrize("name", PROBES)
def test_moto_still_needs_the_repair(name: str, seen: dict[str, dict[str, Any]]) -> None:
    assert seen["without"][name] != PROBES[name][1], f"moto no longer has this defect: take {name} out"
