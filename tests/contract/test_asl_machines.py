"""The state machines as they are shipped: what linters and the second interpreter say of them."""

import re
from pathlib import Path

import pytest

from infra.local.asl_oracle import lint

MACHINES = sorted((Path(__file__).parents[2] / "statemachines").glob("*.asl.json"))


def rendered(path: Path) -> str:
    """The definition with every open name filled in, by the name itself."""
    return re.sub(r"\$\{(\w+)\}", r"\1", path.read_text(encoding="utf-8"))


def test_there_are_machines_to_look_at() -> None:
    assert {path.name for path in MACHINES} >= {"agent_workflow.asl.json", "rollback.asl.json"}


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.name)
def test_a_machine_has_no_problems(path: Path) -> None:
    assert lint(rendered(path)) == []
