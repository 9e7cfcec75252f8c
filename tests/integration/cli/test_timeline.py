"""The timeline that people see, and the report that programs read, from journals of every kind."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count
from typing import Any

import pytest
from rich.console import Console

from apex.errors import all_errors
from apex.schema import events as e
from apex.schema.ledger import EffectState, Entry, Head, Mode
from apex.schema.plan import Step
from infra.cli.render import _MARKS, Progress, event_line, replayed, timeline_view
from infra.cli.report import Record, exit_code, report
from infra.cli.timeline import LineState

START = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)


class Journal:
    """Writes events a tenth of a second apart."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._numbers: Iterator[int] = count(1)
        self.add(e.GoalReceived, goal="do [it]", user_id="ana")

    def add(self, kind: type[e.EventBase], **fields: Any) -> "Journal":
        seq = next(self._numbers)
        common = {"correlation_id": "c", "tenant_id": "acme", "workflow_id": "w", "seq": seq}
        at = START + timedelta(seconds=(seq - 1) / 10)
        self.events.append(kind(timestamp=at, **common, **fields))
        return self

    def plan(self, *ids: str) -> "Journal":
        steps = tuple(Step(id=name, tool=f"tool_{name}") for name in ids)
        return self.add(e.PlanGenerated, plan_id="p", steps=steps, cache_hit=False, planner="submitted")

    def step(self, kind: type[e.EventBase], name: str, **fields: Any) -> "Journal":
        return self.add(kind, step_id=name, tool_name=f"tool_{name}", **fields)

    def call(self, name: str, attempt: int = 1) -> "Journal":
        return self.step(e.ToolCallRequested, name, tool_input={}, attempt=attempt)

    def shown(self) -> str:
        console = Console(width=140, record=True, file=StringIO())
        console.print(timeline_view(replayed(self.events)))
        return console.export_text()


def lines(journal: Journal) -> dict[str, tuple[str, int, str]]:
    return {line.step_id: (line.state.value, line.attempts, line.note) for line in replayed(journal.events).steps}


def test_a_step_is_waiting_until_it_starts() -> None:
    journal = Journal().plan("a", "b").call("b")
    timeline = replayed(journal.events)
    assert [(line.step_id, line.state.value) for line in timeline.steps] == [("b", "running"), ("a", "waiting")]


def test_an_attempt_that_is_repeated_counts_and_says_why() -> None:
    journal = Journal().plan("a").call("a").step(e.ToolAttemptReleased, "a", attempt=1, error="503")
    assert lines(journal) == {"a": ("trying again", 1, "503")}
    journal.call("a", 2).step(e.ToolResultReceived, "a", success=True, result={}, retry_count=1, resolved_by="probe")
    assert lines(journal) == {"a": ("done", 2, "found by asking the provider")}


def test_durations_are_counted_from_the_first_attempt() -> None:
    journal = Journal().plan("a").call("a").call("a", 2).step(e.ToolResultReceived, "a", success=True, retry_count=1)
    assert replayed(journal.events).steps[0].seconds(START) == pytest.approx(0.2)


def test_a_step_that_runs_is_measured_until_now() -> None:
    line = replayed(Journal().plan("a").call("a").events).steps[0]
    assert line.started_at is not None
    assert line.seconds(line.started_at + timedelta(seconds=3)) == pytest.approx(3)


def test_a_rollback_is_told_below_the_steps_in_the_order_of_undoing() -> None:
    journal = Journal().plan("a", "b", "c").call("a").step(e.ToolResultReceived, "a", success=True, retry_count=0)
    journal.call("b").step(e.ToolOutcomeUnknown, "b", attempt=1, error="no answer")
    journal.add(e.RollbackStarted, generation=2, door="catch", failed_step_id="b", error="E", error_message="it broke")
    journal.step(e.StepFenced, "c")
    for name in ("b", "a"):
        journal.step(e.CompensationStarted, name, compensation_activity=f"undo_{name}", attempt=1)
        journal.step(e.CompensationCompleted, name)

    assert {name: state for name, (state, _, _) in lines(journal).items()} == {
        "a": "done",
        "b": "unknown",
        "c": "never started",
    }
    shown = journal.shown()
    assert shown.index("no answer") < shown.index("it broke") < shown.index("undo_b") < shown.index("undo_a")
    assert shown.count("undone") == 2


def test_an_undo_that_fails_is_tried_again_and_parked() -> None:
    journal = Journal().plan("a").call("a").step(e.ToolResultReceived, "a", success=True, retry_count=0)
    journal.step(e.CompensationStarted, "a", compensation_activity="undo_a", attempt=1)
    journal.step(e.CompensationFailed, "a", attempt=1, error="500")
    undo = replayed(journal.events).undos["a"]
    assert (undo.state.value, undo.note) == ("trying again", "500")
    journal.step(e.StepParked, "a", reason="kept failing")
    undo = replayed(journal.events).undos["a"]
    assert (undo.state.value, undo.note) == ("parked", "kept failing")


def test_a_step_that_was_given_up_is_not_shown_as_running() -> None:
    journal = Journal().plan("a").call("a").step(e.ToolAttemptReleased, "a", attempt=1, error="503")
    journal.step(e.StepFenced, "a")
    assert lines(journal) == {"a": ("not applied", 1, "503")}


def test_what_people_decided_and_what_came_late_is_told() -> None:
    journal = Journal().plan("a", "b", "c", "d").call("a").step(e.ToolResultReceived, "a", success=False, retry_count=0)
    journal.step(e.StepRetried, "a", epoch=1)
    journal.step(e.StepSkipped, "b").step(e.StepBorrowed, "c", from_workflow_id="w0")
    journal.step(e.StepFenced, "d").step(e.LateEffectDetected, "d", attempt=1, found="FENCED")
    told = lines(journal)

    assert told["a"] == ("waiting", 0, "put back to its beginning")
    assert told["b"][0] == "skipped"
    assert (told["c"][0], "w0" in told["c"][2]) == ("borrowed", True)
    assert (told["d"][0], "late" in told["d"][2]) == ("never started", True)


def test_every_state_of_a_line_can_be_drawn() -> None:
    assert set(_MARKS) == set(LineState)


def test_text_from_outside_is_not_taken_for_markup() -> None:
    assert "do [it]" in Journal().plan("a").shown()
    assert "do [it]" in event_line(Journal().events[0]).plain


def test_an_event_line_leaves_out_what_tools_were_given() -> None:
    journal = Journal().step(e.ToolCallRequested, "a", tool_input={"card": "4111"}, attempt=1)
    line = event_line(journal.events[-1]).plain
    assert "tool_a" in line
    assert "4111" not in line


def test_in_a_terminal_the_timeline_moves_and_is_wiped_away() -> None:
    console = Console(force_terminal=True, width=100, record=True, file=StringIO())
    with Progress(console) as progress:
        for event in Journal().plan("a").call("a").events:
            progress.show(event)
    assert progress.timeline.steps[0].state.value == "running"


def head(mode: Mode) -> Head:
    return Head(
        **{"tenant": "acme", "workflow_id": "w", "mode": mode, "seq": 9, "generation": 1, "correlation_id": "c"},
        **{"request_hash": "h", "created_at": START, "deadline": START},
    )


def test_effects_are_in_start_order_and_steps_without_one_come_last() -> None:
    journal = Journal().plan("a", "b", "c").call("b").call("a")
    entries = {
        "a": Entry(step_id="a", tool="tool_a", state=EffectState.INTENDED, started_seq=4, attempt=1),
        "b": Entry(step_id="b", tool="tool_b", state=EffectState.UNKNOWN, started_seq=3, attempt=2),
    }
    told = report(Record(head(Mode.RUNNING), journal.events, entries))
    assert told["effects"] == [
        {"step_id": "b", "tool": "tool_b", "state": "UNKNOWN", "attempts": 2},
        {"step_id": "a", "tool": "tool_a", "state": "INTENDED", "attempts": 1},
        {"step_id": "c", "tool": "tool_c", "state": "NONE", "attempts": 0},
    ]
    assert told["transitions"] is None


def test_a_parked_workflow_gives_its_reason() -> None:
    journal = Journal().plan("a")
    journal.add(e.RollbackStarted, generation=2, door="catch", error="StepRejected", error_message="APX-4003 no")
    journal.add(e.WorkflowParked, reason="a needs a decision", parked_steps=("a",))
    told = report(Record(head(Mode.PARKED), journal.events, {}))
    assert told["error"] == {
        "code": "APX-4003",
        "step_id": None,
        "error": "StepRejected",
        "message": "a needs a decision",
    }


def test_an_error_that_is_not_ours_has_no_code() -> None:
    journal = Journal().add(e.RollbackStarted, generation=2, door="catch", error="States.Timeout", error_message="late")
    told = report(Record(head(Mode.ROLLING_BACK), journal.events, {}))
    assert told["error"] == {"step_id": None, "error": "States.Timeout", "message": "late"}
    assert "StepRejected" in {error.__name__ for error in all_errors()}


@pytest.mark.parametrize(
    ("mode", "code"), [(Mode.COMPLETED, 0), (Mode.FAILED, 1), (Mode.CANCELLED, 1), (Mode.PARKED, 3), (Mode.RUNNING, 1)]
)
def test_exit_codes(mode: Mode, code: int) -> None:
    assert exit_code(mode) == code
