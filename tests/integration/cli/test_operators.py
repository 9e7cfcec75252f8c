"""What a person decides on the command line: by whom and why is kept, and what follows from it happens."""

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import TRIP, Caller, Done, Shell, apex, note, plan_file, step

WHY = ("--why", "the customer called")
WITH_A_MISTAKE = (
    note("s1"),
    step("s2", "search_database", "s1", collection="customers", key="nobody"),
    note("s3", "s2"),
)
PARIS = TRIP.format(city="Paris", amount="$9,000")


@dataclass(frozen=True)
class Kept:
    """A data directory with a workflow that failed."""

    folder: Path
    workflow_id: str

    def __call__(self, verb: str, *words: str) -> Done:
        """A command about the workflow, in a process of its own."""
        return apex(verb, self.workflow_id, *words, "--data", self.folder, "--json")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("kept")
    plan = plan_file(folder, *WITH_A_MISTAKE)
    failed = apex("run", "a note", "--plan", plan, "--data", folder / "data", "--json")
    assert failed.code == 1
    return Kept(folder / "data", failed.document["workflow_id"])


def states(document: dict[str, Any]) -> dict[str, str]:
    return {effect["step_id"]: effect["state"] for effect in document["effects"]}


def test_show_tells_how_it_was_at_any_event(kept: Kept, call: Caller) -> None:
    def at(seq: int) -> dict[str, Any]:
        shown = call("show", kept.workflow_id, "--at", str(seq), "--data", kept.folder, "--json")
        assert shown.code == 0
        document: dict[str, Any] = shown.document
        return document

    assert (at(1)["status"], at(1)["plan"], at(1)["events"]) == ("RUNNING", None, 1)
    assert states(at(2)) == {"s1": "NONE", "s2": "NONE", "s3": "NONE"}
    assert states(at(3)) == {"s1": "INTENDED", "s2": "NONE", "s3": "NONE"}
    assert states(at(6)) == {"s1": "CONFIRMED", "s2": "REJECTED", "s3": "NONE"}
    journal = call("events", kept.workflow_id, "--data", kept.folder, "--json").document
    failed = next(event["seq"] for event in journal if event["type"] == "WorkflowFailed")
    assert (at(failed)["status"], states(at(failed))["s1"]) == ("FAILED", "COMPENSATED")
    assert at(failed)["error"]["step_id"] == "s2"

    beyond = call("show", kept.workflow_id, "--at", "999", "--data", kept.folder, "--json")
    assert (beyond.code, beyond.document["error"]["code"]) == (2, "APX-1000")


def test_a_failed_workflow_is_put_right_and_resumed_by_later_processes(kept: Kept, call: Caller) -> None:
    assert kept("skip-step", "s2", *WHY).code == 0
    for step_id in ("s1", "s3"):
        assert kept("retry-step", step_id, *WHY, "--by", "ana").code == 0
    resumed = kept("resume", *WHY, "--by", "ana")

    assert (resumed.code, resumed.document["status"]) == (0, "COMPLETED")
    assert states(resumed.document) == {"s1": "CONFIRMED", "s2": "FENCED", "s3": "CONFIRMED"}
    journal = call("events", kept.workflow_id, "--data", kept.folder, "--json").document
    acted = [event for event in journal if event["type"] == "OperatorActed"]
    assert [(event["verb"], event.get("step_id")) for event in acted] == [
        ("skip-step", "s2"),
        ("retry-step", "s1"),
        ("retry-step", "s3"),
        ("resume", None),
    ]
    assert [event["by"] for event in acted] == [getpass.getuser(), "ana", "ana", "ana"]
    assert {event["why"] for event in acted} == {"the customer called"}


@pytest.mark.parametrize("verb", ["compensate", "abandon", "resume"])
def test_a_decision_wants_a_reason(call: Caller, tmp_path: Path, verb: str) -> None:
    assert call(verb, "1447", "--data", tmp_path).code == 2
    empty = call(verb, "1447", "--data", tmp_path, "--why", " ", "--json")
    assert (empty.code, empty.document["error"]["code"]) == (2, "APX-1000")


def test_where_there_is_no_data_nothing_is_made(call: Caller, tmp_path: Path) -> None:
    done = call("abandon", "1447", *WHY, "--data", tmp_path / "nowhere", "--json")

    assert (done.code, done.document["error"]["code"]) == (2, "APX-1400")
    assert not (tmp_path / "nowhere").exists()
    assert call("abandon", "1447", *WHY, "--json").code == 2


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory that looks used: the shell's own system, which keeps nothing, is what commands find."""
    (tmp_path / "apex.sqlite").touch()
    return tmp_path


def test_resume_names_the_steps_that_have_to_be_decided_first(shell: Shell, data: Path) -> None:
    plan = plan_file(data, *WITH_A_MISTAKE)
    workflow_id = shell("run", "a note", "--plan", plan, "--json").document["workflow_id"]

    refused = shell("resume", workflow_id, *WHY, "--data", data, "--json")

    assert (refused.code, refused.document["error"]["code"]) == (2, "APX-1500")
    assert "s1, s2, s3" in refused.document["error"]["message"]


def test_a_fork_goes_on_with_another_plan(shell: Shell, data: Path) -> None:
    good = plan_file(data, note("s1"), note("s2", "s1"))
    workflow_id = shell("run", "two notes", "--plan", good, "--json").document["workflow_id"]
    other = plan_file(data, note("s1"), step("s2", "respond_to_user", "s1", message="{{s1.record_id}}"))

    forked = shell("fork", workflow_id, "--from", "s2", "--plan", other, *WHY, "--data", data, "--json")

    assert (forked.code, forked.document["status"]) == (0, "COMPLETED")
    assert forked.document["workflow_id"] != workflow_id
    assert states(forked.document) == {"s1": "BORROWED", "s2": "CONFIRMED"}


def test_a_completed_workflow_is_undone(shell: Shell, data: Path) -> None:
    plan = plan_file(data, note("s1"), note("s2", "s1"))
    workflow_id = shell("run", "two notes", "--plan", plan, "--json").document["workflow_id"]

    undone = shell("compensate", workflow_id, *WHY, "--data", data)

    assert undone.code == 1
    assert "delete_record" in undone.out


def test_a_parked_workflow_is_abandoned_or_marked_and_undone(shell: Shell, data: Path) -> None:
    shell.witness.order_fault("hotels", {"operation": "cancel", "mode": "error_before", "times": 5})
    parked = shell("run", PARIS, "--json")
    assert (parked.code, parked.document["status"]) == (3, "PARKED")
    workflow_id = parked.document["workflow_id"]

    abandoned = shell("abandon", workflow_id, *WHY, "--data", data, "--json")
    assert (abandoned.code, abandoned.document["status"]) == (0, "PARKED")
    early = shell("mark-applied", workflow_id, "s3", *WHY, "--data", data, "--json")
    assert (early.code, early.document["error"]["code"]) == (2, "APX-1500"), "s3 was undone: nothing to decide there"
    unreadable = shell("mark-applied", workflow_id, "s4", "--result", "[1]", *WHY, "--data", data, "--json")
    assert (unreadable.code, unreadable.document["error"]["code"]) == (2, "APX-1000")

    marked = shell("mark-applied", workflow_id, "s4", *WHY, "--data", data, "--json")
    assert states(marked.document)["s4"] == "CONFIRMED"
    undone = shell("compensate", workflow_id, *WHY, "--data", data, "--json")

    assert (undone.code, undone.document["status"]) == (1, "FAILED")
    assert states(undone.document)["s4"] == "COMPENSATED"


def test_a_step_that_is_said_not_to_be_there_needs_no_undo(shell: Shell, data: Path) -> None:
    shell.witness.order_fault("hotels", {"operation": "cancel", "mode": "error_before", "times": 5})
    workflow_id = shell("run", PARIS, "--json").document["workflow_id"]

    marked = shell("mark-not-applied", workflow_id, "s4", *WHY, "--data", data)
    undone = shell("compensate", workflow_id, *WHY, "--data", data, "--json")

    assert marked.code == 0
    assert (undone.code, undone.document["status"]) == (1, "FAILED")
