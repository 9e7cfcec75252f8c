"""A user's own tools under the simulator: a good one passes, one that breaks its contract is found out."""

import json
from pathlib import Path
from textwrap import dedent

import pytest

from apex.errors import InvalidInput
from infra.chaos.faults import Fault
from infra.chaos.own_tools import load
from infra.chaos.run import run_own
from infra.cli.main import main

GOOD = """
from datetime import timedelta

from pydantic import Field

from apex.tools import Call, Effect, Input, Output, Probe, ToolRejected, UndoOfAbsent, tool

SHELF: dict[str, str] = {}
REVOKED: set[str] = set()


class Parcel(Input):
    content: str = Field(min_length=3)
    pieces: int = Field(ge=1, le=9)


class Place(Output):
    place: str


@tool(
    description="Put a parcel on the shelf of a depot.",
    effect=Effect.REVERSIBLE,
    undo_of_absent=UndoOfAbsent.FENCES,
    settles_within=timedelta(seconds=5),
    idempotency_window=timedelta(hours=1),
)
def store_parcel(parcel: Parcel, call: Call) -> Place:
    if call.key in REVOKED:
        raise ToolRejected("the key was revoked")
    SHELF.setdefault(call.key, parcel.content)
    return Place(place=f"shelf {call.key}")


@store_parcel.undo
def fetch_parcel(parcel: Parcel, place: Place | None, call: Call) -> None:
    SHELF.pop(call.run_key, None)
    REVOKED.add(call.run_key)


@store_parcel.probe
def find_parcel(parcel: Parcel, call: Call) -> Probe[Place]:
    if call.run_key in SHELF:
        return Probe.applied(Place(place=f"shelf {call.run_key}"))
    return Probe.never() if call.run_key in REVOKED else Probe.not_seen()
"""
WITNESS = """
import sys


def effects(tool: str, key: str) -> int:
    shelf = sys.modules[f"apex_tool_{tool}"].SHELF
    return sum(kept.startswith(key) for kept in shelf)
"""


def written(folder: Path, tool: str, witness: str | None = None) -> Path:
    (folder / "store_parcel").mkdir()
    (folder / "store_parcel" / "tool.py").write_text(dedent(tool))
    if witness is not None:
        (folder / "witness.py").write_text(dedent(witness))
    return folder


@pytest.mark.parametrize("witness", [None, WITNESS])
def test_a_tool_that_keeps_its_contract_passes(tmp_path: Path, witness: str | None) -> None:
    findings, _ = run_own(load(written(tmp_path, GOOD, witness), 1), 1, 60)
    assert [found for _, _, found in findings.violating] == []
    assert findings.endings["COMPLETED"] > 5
    assert findings.endings["FAILED"] > 5


FORGETS_KEYS = GOOD.replace(
    "SHELF.setdefault(call.key, parcel.content)", 'SHELF[f"{call.key}/{len(SHELF)}"] = parcel.content'
).replace("call.run_key in SHELF", "any(kept.startswith(call.run_key) for kept in SHELF)")
UNDOES_NOTHING = GOOD.replace("    SHELF.pop(call.run_key, None)\n", "")
FORGETS_TO_FENCE = GOOD.replace("    REVOKED.add(call.run_key)\n", "")


@pytest.mark.parametrize(
    ("tool", "promise"), [(FORGETS_KEYS, 2), (UNDOES_NOTHING, 2)], ids=["forgets keys", "undoes nothing"]
)
def test_a_tool_that_breaks_its_contract_is_found_out(tmp_path: Path, tool: str, promise: int) -> None:
    assert tool != GOOD
    findings, _ = run_own(load(written(tmp_path, tool, WITNESS), 1), 1, 60)
    assert promise in {found.invariant for _, _, violations in findings.violating for found in violations}


def test_the_command_tells_how_to_see_it_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path, UNDOES_NOTHING, WITNESS)
    assert main(["chaos", "--tools", str(folder), "--programs", "20", "--json"]) == 1
    told = capfd.readouterr()
    document = json.loads(told.out)
    assert set(document) >= {"programs", "violations", "faults_fired", "invariants_checked", "seconds", "seed", "hash"}
    assert document["violations"] > 0
    assert set(document["faults_fired"]) == {fault.value for fault in Fault}
    assert "Again: apex chaos --seed 1 --only " in told.err


def test_inputs_are_taken_from_the_examples_beside_the_tool(tmp_path: Path) -> None:
    folder = written(tmp_path, GOOD)
    (folder / "store_parcel" / "chaos.json").write_text('[{"content": "a lamp", "pieces": 2}]')
    assert load(folder, 1).inputs["store_parcel"] == [{"content": "a lamp", "pieces": 2}]


def test_an_input_that_cannot_be_made_up_has_to_be_given(tmp_path: Path) -> None:
    folder = written(tmp_path, GOOD.replace("min_length=3", 'pattern="^[A-Z]{3}$"'))
    with pytest.raises(InvalidInput, match="pattern"):
        load(folder, 1)


def test_a_folder_without_tools_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no tools"):
        load(tmp_path, 1)
