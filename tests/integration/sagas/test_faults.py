"""Trouble at the providers, through the real machines: each fault was seen to fire, the providers' books decide."""

import threading
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from apex import faults
from apex.errors import StoreContended
from apex.faults import FaultPoint, Reached
from apex.schema.ledger import EffectState, Mode
from tests.integration.sagas.conftest import Run, System, note, step
from tests.integration.sagas.trouble import Proceed

TIME_SCALE = 0.05

TOMORROW = (date.today() + timedelta(days=1)).isoformat()  # noqa: DTZ011 - any day ahead will do


def search(step_id: str = "s1") -> dict[str, Any]:
    return step(step_id, "search_flights", destination="Oslo", date=TOMORROW)


def book(step_id: str, search_id: str = "s1") -> dict[str, Any]:
    return step(step_id, "book_flight", search_id, flight_id=f"{{{{{search_id}.flight_id}}}}", passenger="Ana Ruiz")


def reserve(step_id: str, *needed: str) -> dict[str, Any]:
    return step(step_id, "reserve_hotel", *needed, near="the Opera", check_in=TOMORROW, guest="Ana Ruiz")


def pay(step_id: str, *needed: str, amount: str = "100.00") -> dict[str, Any]:
    return step(step_id, "charge_payment", *needed, amount=amount, card="card-on-file")


def run(system: System, *steps: dict[str, Any]) -> Run:
    return system.run("a plan of one's own", plan={"steps": list(steps)})


# ── resolved forward ────────────────────────────────────────────────────────────────────────────────────────


def test_a_booking_whose_reply_was_lost_is_found_and_the_workflow_goes_on(system: System) -> None:
    system.fault("flights", operation="book", mode="drop_reply", times=1)

    ran = run(system, search(), book("s2"))

    assert system.faults_fired("flights") == 1
    assert ran.head.mode is Mode.COMPLETED
    assert ran.effects("flights") == ["apply"]
    (received,) = [event for event in ran.of_type("ToolResultReceived") if event.step_id == "s2"]
    assert (received.resolved_by, ran.calls["s2"]) == ("probe", 2)


def test_a_reservation_that_lands_late_and_its_repetition_are_one(system: System) -> None:
    system.fault("hotels", operation="reserve", mode="late_apply", seconds=0.5, times=1)

    ran = run(system, reserve("s1"))
    landed = threading.Event()
    landed.wait(0.7)

    assert system.faults_fired("hotels") == 1
    assert ran.head.mode is Mode.COMPLETED
    assert ran.effects("hotels") == ["apply"]


@pytest.mark.parametrize("mode", ["unavailable", "error_before"])
def test_a_provider_that_is_down_for_a_moment_costs_time_only(system: System, mode: str) -> None:
    system.fault("payments", operation="charge", mode=mode, times=2)

    ran = run(system, pay("s1"))

    assert system.faults_fired("payments") == 2
    assert ran.head.mode is Mode.COMPLETED
    assert ran.effects("payments") == ["apply"]


# ── rolled back ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_search_that_never_succeeds_fails_the_workflow_and_needs_nobody(system: System) -> None:
    system.fault("flights", operation="search", mode="unavailable", times=None)

    ran = run(system, note("s0"), search(), book("s2"))

    assert system.faults_fired("flights") == 5
    assert ran.head.mode is Mode.FAILED
    assert ran.states == {"s0": EffectState.COMPENSATED, "s1": EffectState.FENCED, "s2": EffectState.FENCED}


def test_a_sibling_that_is_still_at_work_ends_first_and_is_undone(system: System) -> None:
    """The card is declined at once, while the room is reserved slowly in the same wave."""
    system.fault("hotels", operation="reserve", mode="slow", seconds=1, times=1)

    ran = run(system, reserve("s1"), pay("s2", amount="9000.00"))

    assert system.faults_fired("hotels") == 1
    assert ran.head.mode is Mode.FAILED
    assert (ran.effects("hotels"), ran.effects("payments")) == (["apply", "undo"], [])
    kinds = [event.type for event in ran.events]
    assert kinds.index("RollbackStarted") > max(at for at, kind in enumerate(kinds) if kind == "ToolResultReceived")
    assert ran.states == {"s1": EffectState.COMPENSATED, "s2": EffectState.FENCED}


def test_a_sibling_whose_function_cannot_be_run_at_all_is_fenced_and_the_others_undone(system: System) -> None:
    class ImportModuleError(Exception):
        """What Lambda says of a function whose code cannot be loaded."""

    refused: list[str] = []

    def around(function: str, event: dict[str, Any], proceed: Proceed) -> Any:
        if function.endswith("reserve_hotel") and event["action"] == "run":
            refused.append(function)
            raise ImportModuleError("no module named apex")
        return proceed(event)

    system.interference.add(around)
    ran = run(system, reserve("s1"), pay("s2"))

    assert refused
    assert ran.head.mode is Mode.FAILED
    assert ran.head.failure is not None
    assert (ran.head.failure.step_id, ran.head.failure.error) == ("s1", "ImportModuleError")
    assert (ran.effects("hotels"), ran.effects("payments")) == ([], ["apply", "undo"])
    assert ran.states == {"s1": EffectState.FENCED, "s2": EffectState.COMPENSATED}


def test_an_undo_that_keeps_failing_is_parked_and_the_older_steps_are_undone(system: System) -> None:
    system.fault("hotels", operation="cancel", mode="error_before", times=None)

    ran = run(system, search(), book("s2"), reserve("s3", "s2"), pay("s4", "s3", amount="9000.00"))

    assert system.faults_fired("hotels") == 5
    assert ran.head.mode is Mode.PARKED
    assert ran.states["s3"] is EffectState.PARKED
    assert ran.states["s2"] is EffectState.COMPENSATED
    assert (ran.effects("hotels"), ran.effects("flights")) == (["apply"], ["apply", "undo"])
    assert ran.of_type("WorkflowParked")[0].parked_steps == ("s3",)
    tried = [event for event in ran.of_type("CompensationStarted") if event.step_id == "s3"]
    assert [event.attempt for event in tried] == [1, 2, 3, 4, 5]
    assert len({event.idempotency_key for event in tried}) == 1


def test_a_charge_that_lands_during_the_rollback_is_waited_for_found_and_refunded(system: System) -> None:
    """No attempt gets an answer, and at the time when rollback begins no probe can see anything yet."""
    system.fault("payments", operation="charge", mode="late_apply", seconds=4, times=4)

    ran = run(system, note("s1"), pay("s2", "s1"))

    assert system.faults_fired("payments") == 4
    assert ran.head.mode is Mode.FAILED
    assert ran.effects("payments") == ["apply", "undo"]
    assert ran.states == {"s1": EffectState.COMPENSATED, "s2": EffectState.COMPENSATED}
    landed_at = datetime.fromisoformat(system.books("payments")[0]["at"])
    assert landed_at > ran.of_type("RollbackStarted")[0].timestamp
    undone = [event.step_id for event in ran.of_type("CompensationCompleted")]
    assert undone == ["s2", "s1"]
    assert system.ask("payments", "/inventory")["items"][0]["available"] == "5000.00"


def test_a_probe_that_fails_during_the_rollback_is_asked_again(system: System) -> None:
    system.fault("payments", operation="charge", mode="drop_reply", times=1)
    system.fault("payments", operation="probe", mode="unavailable", times=6)

    ran = run(system, pay("s1"))

    assert system.faults_fired("payments") >= 5
    assert ran.head.mode is Mode.FAILED
    assert ran.effects("payments") == ["apply", "undo"]


# ── trouble of our own ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("point", list(FaultPoint))
def test_a_step_cut_off_at_any_point_has_its_effect_once_or_undone(system: System, point: FaultPoint) -> None:
    """The table cannot be reached for a moment: before, between and after what a step does."""
    fired: list[Reached] = []
    lock = threading.Lock()

    def cut(reached: Reached) -> None:
        with lock:
            strikes = (reached.point, reached.tool) == (point, "reserve_hotel") and not fired
            if strikes:
                fired.append(reached)
        if strikes:
            raise StoreContended("others were first")

    is_of_undo = list(FaultPoint).index(point) >= list(FaultPoint).index(FaultPoint.BEFORE_UNDO)
    with faults.injected(cut):
        ran = run(system, reserve("s1"), *([pay("s2", "s1", amount="9000.00")] if is_of_undo else []))

    assert len(fired) == 1
    assert ran.head.mode is (Mode.FAILED if is_of_undo else Mode.COMPLETED)
    assert ran.effects("hotels") == (["apply", "undo"] if is_of_undo else ["apply"])


def test_ten_workflows_after_the_last_seat_sell_it_once(system: System) -> None:
    flight = run(system, search()).of_type("WorkflowCompleted")[0].final_result["flight_id"]
    system.ask("flights", "/inventory", {"flight_id": flight, "seats": 1})
    runs: list[Run] = []

    def one() -> None:
        order = step("s1", "book_flight", flight_id=flight, passenger="Ana Ruiz")
        runs.append(run(system, order, note("s2", "s1")))

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ran.head.mode.value for ran in runs) == ["COMPLETED"] + ["FAILED"] * 9
    assert [entry["kind"] for entry in system.books("flights")] == ["apply"]
    for ran in runs:
        if ran.head.mode is Mode.FAILED:
            assert ran.states == {"s1": EffectState.FENCED, "s2": EffectState.FENCED}
