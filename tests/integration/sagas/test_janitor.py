"""Executions that are stopped from outside: nobody helps, and every workflow still ends with nothing left over."""

from datetime import timedelta

import pytest

from apex import faults
from apex.app import plans
from apex.app.janitor import sweep
from apex.faults import FaultPoint, Reached
from apex.schema.ledger import EffectState, Mode
from tests.integration.sagas.conftest import TRIP, Run, System, note
from tests.integration.sagas.trouble import Clockwork, When

PARIS = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$900")
TOO_EXPENSIVE = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$9,000")
SETTLED = {EffectState.COMPENSATED, EffectState.FENCED, EffectState.REJECTED}
WITHOUT_EFFECT = {"search_flights", "search_database"}

WHEN = pytest.mark.parametrize("when", ["before", "instead", "after"])


def assert_all_or_nothing(run: Run) -> None:
    """Completed with one effect each, or failed with every effect undone; no step was run twice either way."""
    assert run.head.mode in {Mode.COMPLETED, Mode.FAILED}
    expected = [["apply"]] if run.head.mode is Mode.COMPLETED else [[], ["apply", "undo"]]
    for provider in ("flights", "hotels", "payments"):
        assert run.effects(provider) in expected
    assert set(run.calls.values()) <= {1}
    if run.head.mode is Mode.FAILED:
        entries = run.system.session.house.store.entries(run.ref).values()
        assert {entry.state for entry in entries if entry.tool not in WITHOUT_EFFECT} <= SETTLED
    assert [event.seq for event in run.events] == list(range(1, run.head.seq + 1))


@WHEN
@pytest.mark.parametrize(
    ("function", "action"),
    [
        ("find-plan", None),
        ("tool-search_database", "run"),
        ("tool-book_flight", "run"),
        ("tool-reserve_hotel", "run"),
        ("tool-charge_payment", "run"),
        ("tool-send_confirmation", "run"),
        ("close-workflow", None),
    ],
)
def test_an_execution_stopped_at_any_state_leaves_all_or_nothing(
    system: System, function: str, action: str | None, when: When
) -> None:
    stopped = system.stop_at(function, when, action=action)

    run = system.run(PARIS)

    assert stopped.fired
    assert_all_or_nothing(run)
    if function != "close-workflow" or when == "instead":
        assert run.head.mode is Mode.FAILED
        (started,) = run.of_type("RollbackStarted")
        assert (started.door, started.error) == ("janitor", "Execution.ABORTED")


@WHEN
def test_an_execution_stopped_while_it_hands_over_to_the_rollback_is_rolled_back_once(
    system: System, when: When
) -> None:
    stopped = system.stop_at("start-rollback", when)

    run = system.run(TOO_EXPENSIVE)

    assert stopped.fired
    assert run.head.mode is Mode.FAILED
    assert len(run.of_type("RollbackStarted")) == 1
    assert [event.tool_name for event in run.of_type("CompensationCompleted")] == ["reserve_hotel", "book_flight"]
    assert (run.effects("flights"), run.effects("hotels")) == (["apply", "undo"], ["apply", "undo"])


@WHEN
@pytest.mark.parametrize(
    ("function", "action"),
    [
        ("list-steps", None),
        ("tool-charge_payment", "undo"),
        ("tool-reserve_hotel", "undo"),
        ("tool-book_flight", "undo"),
        ("close-workflow", None),
    ],
)
def test_a_stopped_rollback_is_finished_by_another_one(
    system: System, function: str, action: str | None, when: When
) -> None:
    stopped = system.stop_at(function, when, action=action)

    run = system.run(TOO_EXPENSIVE)

    assert stopped.fired
    assert run.head.mode is Mode.FAILED
    assert run.head.failure is not None
    assert run.head.failure.step_id == "s5"
    completed = [event.tool_name for event in run.of_type("CompensationCompleted")]
    assert completed == ["reserve_hotel", "book_flight"]
    assert_all_or_nothing(run)
    doors = [event.door for event in run.of_type("RollbackStarted")]
    # The handler that was at work goes on without its execution, so the workflow may be closed before anybody looks.
    assert doors in ([["catch", "janitor"], ["catch"]] if function == "close-workflow" else [["catch", "janitor"]])


@WHEN
def test_an_execution_stopped_while_it_hands_over_to_the_next_is_found_by_the_sweep(
    system: System, clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch, when: When
) -> None:
    monkeypatch.setattr(plans, "MAX_STEPS_PER_EXECUTION", 2)
    stopped = system.stop_at("hand-over", when)

    ref = system.submit("five notes", plan={"steps": [note(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(5)]})
    system.eventually(lambda: stopped.fired)
    clockwork.advance(timedelta(seconds=61))
    sweep(system.session.house)
    run = system.wait(ref)

    assert run.head.mode in {Mode.COMPLETED, Mode.FAILED}
    assert set(run.calls.values()) == {1}
    if run.head.mode is Mode.FAILED:
        assert set(run.states.values()) <= SETTLED


def test_an_attempt_that_never_reports_is_resolved_when_its_lease_is_over(system: System, clockwork: Clockwork) -> None:
    """The handler dies right after the flight was booked, and the execution is stopped."""

    def die(reached: Reached) -> None:
        if reached.point is FaultPoint.AFTER_EFFECT and reached.tool == "book_flight":
            raise _KilledError

    stopped = system.stop_at("tool-book_flight", "after", action="run")
    with faults.injected(die):
        ref = system.submit(PARIS)
        system.eventually(lambda: stopped.fired and system.books("flights"))
    clockwork.advance(timedelta(minutes=1))
    run = system.wait(ref)

    assert stopped.fired
    assert run.head.mode is Mode.FAILED
    assert run.effects("flights") == ["apply", "undo"]
    assert [event.step_id for event in run.of_type("ToolOutcomeUnknown")] == ["s3"]
    assert run.states["s3"] is EffectState.COMPENSATED


class _KilledError(BaseException):
    """Not an Exception: nothing in between may take it for an outcome of the tool."""
