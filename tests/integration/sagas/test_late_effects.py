"""An effect that becomes visible after its step was fenced or undone: it is noticed, and undone too."""

from datetime import timedelta

import pytest

from apex.app.janitor import look_after
from apex.schema.contract import UndoOfAbsent
from apex.schema.ledger import EffectState, Mode
from apex.tools import Call
from functions.tools.reserve_hotel.tool import Reservation, Stay, reservations, reserve_hotel
from tests.integration.sagas.conftest import Run, System, step
from tests.integration.sagas.trouble import Clockwork

STAY = {
    "steps": [
        step("s1", "reserve_hotel", near="the Eiffel Tower", check_in="2030-05-01", guest="Ana Ruiz"),
    ]
}


def cancel_if_there(stay: Stay, reserved: Reservation | None, call: Call) -> None:
    """An undo that leaves no tombstone: what is not there yet may still come."""
    if reservations.find(call) is not None:
        reservations.undo(call)


@pytest.fixture
def forgetful_hotel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hotel's contract promises less: it cannot be probed, and undoing what is absent leaves nothing behind."""
    weaker = reserve_hotel.contract.model_copy(
        update={"can_probe": False, "undo_of_absent": UndoOfAbsent.TOLERATES, "settles_within": timedelta(0)}
    )
    monkeypatch.setattr(reserve_hotel, "probe_function", None)
    monkeypatch.setattr(reserve_hotel, "undo_function", cancel_if_there)
    monkeypatch.setitem(reserve_hotel.__dict__, "contract", weaker)


def reserve_slowly(system: System, clockwork: Clockwork) -> Run:
    """The execution is stopped while the hotel takes its time; when the lease is over the step is undone. Answers the
    workflow as it ended then, before the hotel did anything."""
    system.fault("hotels", operation="reserve", mode="slow", seconds=4)
    ref = system.submit("a room", plan=STAY)
    system.eventually(lambda: system.faults_fired("hotels"))
    system.stop_executions({"workflow_id": ref.workflow_id, "generation": 1})
    clockwork.advance(timedelta(minutes=1))
    run = system.wait(ref)
    assert run.effects("hotels") == []
    return run


@pytest.mark.usefixtures("forgetful_hotel")
def test_a_late_effect_reopens_its_workflow_and_is_undone(system: System, clockwork: Clockwork) -> None:
    before = reserve_slowly(system, clockwork)
    assert before.head.mode is Mode.FAILED
    assert before.states["s1"] is EffectState.COMPENSATED

    system.eventually(lambda: before.of_type("LateEffectDetected"))
    run = system.wait(before.ref)

    assert run.head.mode is Mode.FAILED
    assert run.effects("hotels") == ["apply", "undo"]
    assert run.states["s1"] is EffectState.COMPENSATED
    (late,) = run.of_type("LateEffectDetected")
    assert (late.step_id, late.found) == ("s1", "COMPENSATED")
    assert late.result["reservation_id"]
    assert [event.door for event in run.of_type("RollbackStarted")] == ["janitor", "late_effect"]
    undos = [event.idempotency_key for event in run.of_type("CompensationStarted")]
    assert len(set(undos)) == 2, "the second undo is another effect, so it has a key of its own"
    assert len(run.of_type("WorkflowFailed")) == 2


@pytest.mark.usefixtures("forgetful_hotel")
def test_the_sweep_finds_a_late_effect_that_nobody_was_told_of(system: System, clockwork: Clockwork) -> None:
    before = reserve_slowly(system, clockwork)
    with pytest.MonkeyPatch.context() as patch:
        # The attempt dies after it wrote down what happened: the event on the bus is lost with the janitor's call.
        patch.setattr("apex.app.janitor.look_after", lambda *_: "nothing")
        system.eventually(lambda: before.of_type("LateEffectDetected"))
        system.session.cloud.drain()
        assert system.session.house.store.head(before.ref).mode is Mode.ROLLING_BACK

    assert look_after(system.session.house, before.ref) == "started"
    run = system.wait(before.ref)

    assert run.head.mode is Mode.FAILED
    assert run.effects("hotels") == ["apply", "undo"]


def test_a_tombstone_at_the_provider_refuses_the_late_request(system: System, clockwork: Clockwork) -> None:
    before = reserve_slowly(system, clockwork)
    assert before.head.mode is Mode.FAILED

    system.eventually(lambda: not system.session.cloud.running_handlers())

    run = system.wait(before.ref)
    assert run.effects("hotels") == []
    assert run.of_type("LateEffectDetected") == []
    assert run.head == before.head
