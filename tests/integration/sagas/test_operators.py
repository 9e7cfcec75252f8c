"""What a person decides about a workflow that stands still, and what follows from it on the real machines."""

import json
from datetime import timedelta
from typing import Any

import pytest

from apex.app.operate import (
    Operator,
    abandon,
    compensate,
    mark_applied,
    mark_not_applied,
    resume,
    retry_step,
    skip_step,
)
from apex.errors import Conflict, InvalidInput
from apex.schema.contract import UndoOfAbsent
from apex.schema.ledger import EffectState, Mode
from apex.workflow.fold import fold
from functions.tools.reserve_hotel.tool import reserve_hotel
from tests.integration.sagas.conftest import TRIP, Run, System, note, step
from tests.integration.sagas.trouble import Clockwork

TIME_SCALE = 0.05
TOO_EXPENSIVE = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$9,000")
ANA = Operator(by="ana", why="the customer called")


def parked(system: System) -> Run:
    """A trip whose card is declined and whose hotel cannot be cancelled, however often it is tried."""
    system.fault("hotels", operation="cancel", mode="error_before", times=5)
    run = system.run(TOO_EXPENSIVE)
    assert run.head.mode is Mode.PARKED
    assert run.states["s4"] is EffectState.PARKED
    return run


def refreshed(run: Run) -> Run:
    return Run(run.system, run.system.session.house.store.head(run.ref))


def assert_journaled(run: Run, *verbs: str) -> None:
    acted = run.of_type("OperatorActed")
    assert [event.verb for event in acted] == list(verbs)
    assert {(event.by, event.why) for event in acted} == {("ana", "the customer called")}
    state = fold(run.events)
    assert (state.status, state.failure) == (run.head.mode, run.head.failure)
    assert (state.generation, state.abandoned) == (run.head.generation, run.head.abandoned)
    assert {item.step_id: item.state for item in state.steps if item.state is not EffectState.NONE} == {
        step_id: state for step_id, state in run.states.items() if state is not EffectState.NONE
    }


def messages(system: System, queue: str) -> list[dict[str, Any]]:
    sqs = system.session.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=f"apex-dev-{queue}")["QueueUrl"]
    found: list[dict[str, Any]] = []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in batch]
        for message in batch:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_a_parked_step_is_one_message_on_the_queue_and_older_steps_are_undone(system: System) -> None:
    messages(system, "parked-steps")

    run = parked(system)
    assert system.session.cloud.drain()

    told = [message["detail"] for message in messages(system, "parked-steps")]
    assert [(one["tenantId"], one["payload"]["workflow_id"], one["payload"]["step_id"]) for one in told] == [
        ("acme", run.ref.workflow_id, "s4")
    ]
    assert told[0]["payload"]["reason"].startswith("undo failed 5 times")
    assert run.effects("flights") == ["apply", "undo"], "the rollback goes on with the older steps"
    (end,) = run.of_type("WorkflowParked")
    assert end.parked_steps == ("s4",)


def test_compensate_tries_once_more_what_was_parked(system: System) -> None:
    run = parked(system)

    compensate(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)

    assert run.head.mode is Mode.FAILED
    assert run.effects("hotels") == ["apply", "undo"]
    assert_journaled(run, "compensate")


@pytest.fixture
def hotel_without_books(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hotel that can neither be asked nor called again, nor cancelled unless there surely is a reservation."""
    update = {"can_probe": False, "undo_of_absent": UndoOfAbsent.FAILS, "idempotency_window": timedelta(0)}
    monkeypatch.setattr(reserve_hotel, "probe_function", None)
    monkeypatch.setitem(reserve_hotel.__dict__, "contract", reserve_hotel.contract.model_copy(update=update))


@pytest.mark.usefixtures("hotel_without_books")
def test_what_nobody_knows_is_not_undone_before_somebody_has_marked_it(system: System, clockwork: Clockwork) -> None:
    system.fault("hotels", operation="reserve", mode="drop_reply")
    ref = system.submit(TOO_EXPENSIVE)
    system.eventually(lambda: system.session.house.store.head(ref).mode is Mode.ROLLING_BACK)
    clockwork.advance(timedelta(minutes=1))
    run = system.wait(ref)
    assert (run.head.mode, run.states["s4"]) == (Mode.PARKED, EffectState.PARKED)

    compensate(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)
    assert (run.head.mode, run.states["s4"]) == (Mode.PARKED, EffectState.PARKED)
    assert run.effects("hotels") == ["apply"]

    mark_applied(system.session.house, run.ref, "s4", ANA)
    compensate(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)

    assert run.head.mode is Mode.FAILED
    assert run.effects("hotels") == ["apply", "undo"]
    assert_journaled(run, "compensate", "mark-applied", "compensate")


def test_marked_as_not_applied_a_parked_step_needs_nobody_any_more(system: System) -> None:
    run = parked(system)

    mark_not_applied(system.session.house, run.ref, "s4", ANA)
    compensate(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)

    assert run.head.mode is Mode.FAILED
    assert run.states["s4"] is EffectState.FENCED
    assert run.effects("hotels") == ["apply"], "nobody touched it: the operator said that it is not there"
    assert_journaled(run, "mark-not-applied", "compensate")


def test_an_abandoned_workflow_stays_parked(system: System) -> None:
    run = parked(system)

    abandon(system.session.house, run.ref, ANA)

    run = refreshed(run)
    assert run.head.mode is Mode.PARKED
    assert run.head.abandoned
    assert_journaled(run, "abandon")


def test_after_a_retry_of_what_was_undone_a_failed_workflow_is_resumed_to_its_end(system: System) -> None:
    """The card is charged with a new limit: the flight and the hotel are booked anew, under keys of their own."""
    run = system.run(TOO_EXPENSIVE)
    assert run.head.mode is Mode.FAILED
    system.ask("payments", "/cards", {"card": "card-on-file", "limit": "20000.00"})

    for step_id in ("s3", "s4", "s5", "s6"):
        retry_step(system.session.house, run.ref, step_id, ANA)
    resume(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)

    assert run.head.mode is Mode.COMPLETED
    assert run.effects("flights") == ["apply", "undo", "apply"]
    assert run.effects("hotels") == ["apply", "undo", "apply"]
    assert run.effects("payments") == ["apply"]
    assert run.calls["s1"] == 1, "what is confirmed and has no effect is not repeated"
    assert_journaled(run, "retry-step", "retry-step", "retry-step", "retry-step", "resume")


def test_a_skipped_step_counts_as_done(system: System) -> None:
    plan = {
        "steps": [
            note("s1"),
            step("s2", "search_database", "s1", collection="customers", key="nobody"),
            note("s3", "s2"),
        ]
    }
    run = system.run("three steps, one of which cannot be done", plan=plan)
    assert run.head.mode is Mode.FAILED

    skip_step(system.session.house, run.ref, "s2", ANA)
    retry_step(system.session.house, run.ref, "s1", ANA)
    retry_step(system.session.house, run.ref, "s3", ANA)
    resume(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)

    assert run.head.mode is Mode.COMPLETED
    assert run.states == {"s1": EffectState.CONFIRMED, "s2": EffectState.FENCED, "s3": EffectState.CONFIRMED}
    assert_journaled(run, "skip-step", "retry-step", "retry-step", "resume")


def test_marked_as_applied_a_parked_step_lets_the_workflow_go_on(system: System) -> None:
    run = parked(system)
    store = system.session.house.store
    result = store.entries(run.ref)["s4"].result
    system.ask("payments", "/cards", {"card": "card-on-file", "limit": "20000.00"})

    mark_applied(system.session.house, run.ref, "s4", ANA)
    for step_id in ("s3", "s5", "s6"):
        retry_step(system.session.house, run.ref, step_id, ANA)
    resume(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)

    assert run.head.mode is Mode.COMPLETED
    assert store.entries(run.ref)["s4"].result == result
    assert run.effects("hotels") == ["apply"]
    assert_journaled(run, "mark-applied", "retry-step", "retry-step", "retry-step", "resume")


def test_a_resumed_workflow_that_fails_again_is_undone_again(system: System) -> None:
    run = system.run(TOO_EXPENSIVE)
    for step_id in ("s3", "s4", "s5", "s6"):
        retry_step(system.session.house, run.ref, step_id, ANA)

    resume(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)

    assert run.head.mode is Mode.FAILED
    assert run.effects("flights") == ["apply", "undo", "apply", "undo"]
    assert run.effects("hotels") == ["apply", "undo", "apply", "undo"]
    assert len(run.of_type("WorkflowFailed")) == 2


def test_a_completed_workflow_is_compensated_when_an_operator_says_so(system: System) -> None:
    run = system.trip()
    assert run.head.mode is Mode.COMPLETED

    compensate(system.session.house, run.ref, ANA)
    run = system.wait(run.ref)

    assert run.head.mode is Mode.FAILED
    assert [event.tool_name for event in run.of_type("CompensationCompleted")] == [
        "send_confirmation",
        "charge_payment",
        *sorted(["book_flight", "reserve_hotel"], key=lambda tool: -started(run, tool)),
    ]
    for provider in ("flights", "hotels", "payments"):
        assert run.effects(provider) == ["apply", "undo"]
    assert_journaled(run, "compensate")


def started(run: Run, tool: str) -> int:
    return int(next(event.seq for event in run.of_type("ToolCallRequested") if event.tool_name == tool))


def test_resume_says_which_steps_have_to_be_decided_first(system: System) -> None:
    run = system.run(TOO_EXPENSIVE)

    with pytest.raises(Conflict, match="s3, s4, s5, s6"):
        resume(system.session.house, run.ref, ANA)

    assert refreshed(run).head == run.head


@pytest.mark.parametrize(("by", "why"), [("", "because"), ("ana", " ")])
def test_nobody_decides_without_a_name_and_a_reason(by: str, why: str) -> None:
    with pytest.raises(InvalidInput):
        Operator(by=by, why=why)
