"""What nobody is told of is found by looking: the scheduled sweep brings every open workflow on."""

import threading
from datetime import timedelta

import pytest

from apex import faults
from apex.adapters.executions import StepFunctionsExecutions
from apex.app.janitor import look_after
from apex.errors import StoreError
from apex.faults import FaultPoint, Reached
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Mode
from tests.integration.sagas.conftest import TRIP, System, note
from tests.integration.sagas.trouble import Clockwork, Counted

TIME_SCALE = 0.02
"""A minute between two sweeps is 1.2 s here."""

PARIS = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$900")
TOO_EXPENSIVE = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$9,000")


def no_starts(patch: pytest.MonkeyPatch, machine: str) -> None:
    """Whoever starts an execution dies just before."""

    def die(self: StepFunctionsExecutions, tenant: str, workflow_id: str, generation: int) -> str:
        raise StoreError("the process died here")

    patch.setattr(StepFunctionsExecutions, f"start_{machine}", die)


def accept_without_starting(system: System, deadline: timedelta = timedelta(hours=1)) -> WorkflowRef:
    with pytest.MonkeyPatch.context() as patch:
        no_starts(patch, "agent")
        with pytest.raises(StoreError):
            system.submit(PARIS, deadline=deadline)
    return system.session.house.store.workflows("acme", limit=1)[0].ref


def test_a_workflow_that_was_accepted_and_never_started_is_started(system: System, clockwork: Clockwork) -> None:
    ref = accept_without_starting(system)
    assert look_after(system.session.house, ref) == "nothing", "its submitter may still be about to start it"

    clockwork.advance(timedelta(seconds=61))
    run = system.wait(ref)

    assert run.head.mode is Mode.COMPLETED
    assert run.effects("flights") == ["apply"]
    assert set(run.calls.values()) == {1}


def test_a_workflow_past_its_deadline_is_rolled_back(system: System, clockwork: Clockwork) -> None:
    ref = accept_without_starting(system, deadline=timedelta(seconds=30))

    clockwork.advance(timedelta(seconds=31))
    run = system.wait(ref)

    assert run.head.mode is Mode.FAILED
    (started,) = run.of_type("RollbackStarted")
    assert (started.door, started.error) == ("janitor", "DeadlinePassed")
    assert run.calls == {}


def test_a_workflow_that_is_still_at_work_at_its_deadline_is_undone(system: System, clockwork: Clockwork) -> None:
    """The charge is still under way when the time is over."""
    system.fault("payments", operation="charge", mode="slow", seconds=3, times=1)
    ref = system.submit(PARIS, deadline=timedelta(minutes=5))
    system.eventually(lambda: system.faults_fired("payments"))

    clockwork.advance(timedelta(minutes=6))
    run = system.wait(ref)

    assert run.head.mode is Mode.FAILED
    assert run.head.failure is not None
    assert run.head.failure.error == "DeadlinePassed"
    for provider in ("flights", "hotels"):
        assert run.effects(provider) == ["apply", "undo"]
    assert run.effects("payments") in ([], ["apply", "undo"])


def test_a_rollback_that_was_decided_and_never_started_is_started(system: System) -> None:
    with pytest.MonkeyPatch.context() as patch:
        no_starts(patch, "rollback")
        ref = system.submit(TOO_EXPENSIVE)
        store = system.session.house.store
        system.eventually(lambda: store.head(ref).mode is Mode.ROLLING_BACK)
    run = system.wait(ref)

    assert run.head.mode is Mode.FAILED
    assert [event.tool_name for event in run.of_type("CompensationCompleted")] == ["reserve_hotel", "book_flight"]


def test_a_sweep_lets_be_what_is_at_work_and_what_has_ended(system: System, clockwork: Clockwork) -> None:
    looked = Counted("apex-dev-janitor")
    system.interference.add(looked)
    ended = system.run("one note", plan={"steps": [note("s1")]})
    working, go_on = threading.Event(), threading.Event()

    def hold(reached: Reached) -> None:
        if reached.point is FaultPoint.AFTER_INTENT:
            working.set()
            go_on.wait(10)

    with faults.injected(hold):
        ref = system.submit("one more note", plan={"steps": [note("s1")]})
        assert working.wait(10)
        clockwork.advance(timedelta(minutes=30))
        before = looked.count
        system.eventually(lambda: looked.count > before)
        go_on.set()
        run = system.wait(ref)

    assert system.session.house.store.head(ended.ref) == ended.head
    assert run.head.mode is Mode.COMPLETED
    assert run.head.generation == 1
    assert run.states == {"s1": EffectState.CONFIRMED}
