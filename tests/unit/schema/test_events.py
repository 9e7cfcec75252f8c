"""The journal's events: one stored sample of each, which every later release must still read."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apex.schema.event_types import is_listed, is_well_formed
from apex.schema.events import (
    ENVELOPE_TYPES,
    EventBase,
    GoalReceived,
    JournalEvent,
    ToolResultReceived,
    event_from_dict,
    event_from_json,
)

COMMON = {
    "event_id": "5b4e6a30-3c5e-4c58-9f0c-6c1f1b4b6a01",
    "timestamp": "2026-01-01T12:00:00Z",
    "correlation_id": "c-1",
    "tenant_id": "acme",
    "workflow_id": "b6f9c6f0-3f0e-5d0a-8a55-0e2c8f7f6a02",
    "seq": 7,
    "schema_version": "1.0.0",
}
CALL = {"tool_name": "book_flight", "step_id": "s2"}

# As release 1.0.0 stores them: never edit a sample, add the next release's beside it.
SAMPLES: dict[str, dict[str, Any]] = {
    "GoalReceived": {"goal": "Book a flight", "user_id": "u-1", "context": {"deviceId": "d", "n": [1, 2.5, None]}},
    "PlanGenerated": {
        "plan_id": "p-1",
        "steps": [
            {"id": "s1", "tool": "search_flights", "input": {"to": "Paris"}, "depends_on": []},
            {
                "id": "s2",
                "tool": "book_flight",
                "input": {"flight_id": "{{s1.flight_id}}"},
                "depends_on": ["s1"],
                "compensation": "cancel_flight",
            },
        ],
        "cache_hit": True,
        "template_id": "tpl",
        "estimated_duration_seconds": 12.5,
        "planner": "library",
    },
    "ToolCallRequested": {
        **CALL,
        "tool_input": {"flightId": "AF-1"},
        "compensation_activity": "cancel_flight",
        "attempt": 2,
        "attempt_id": "a-2",
        "idempotency_key": "k-1",
        "lease_until": "2026-01-01T12:00:30Z",
    },
    "ToolResultReceived": {
        **CALL,
        "success": True,
        "result": {"booking_id": "B-1"},
        "error": "none",
        "retry_count": 1,
        "resolved_by": "probe",
    },
    "ToolAttemptReleased": {**CALL, "attempt": 1, "error": "busy"},
    "ToolOutcomeUnknown": {**CALL, "attempt": 1, "error": "no answer"},
    "RollbackStarted": {
        "generation": 2,
        "door": "catch",
        "failed_step_id": "s2",
        "error": "StepRejected",
        "error_message": "declined",
    },
    "StepFenced": {**CALL},
    "CompensationStarted": {
        **CALL,
        "compensation_activity": "cancel_flight",
        "attempt": 1,
        "attempt_id": "u-1",
        "idempotency_key": "k-2",
        "lease_until": "2026-01-01T12:00:30Z",
    },
    "CompensationFailed": {**CALL, "attempt": 1, "error": "not now"},
    "CompensationCompleted": {**CALL, "result": {"refunded": True}},
    "StepParked": {**CALL, "reason": "cannot be undone"},
    "LateEffectDetected": {**CALL, "attempt": 1, "found": "FENCED", "result": {"booking_id": "B-1"}},
    "GenerationStarted": {"generation": 3, "reason": "resumed"},
    "OperatorActed": {"verb": "retry", "step_id": "s2", "by": "ada", "why": "the card was replaced"},
    "StepRetried": {**CALL, "epoch": 1},
    "StepSkipped": {**CALL},
    "StepBorrowed": {**CALL, "result": {"booking_id": "B-1"}, "from_workflow_id": "w-0"},
    "WorkflowAbandoned": {},
    "WorkflowCompleted": {"plan_id": "p-1", "total_steps": 2, "duration_seconds": 3.25, "final_result": {"ok": 1}},
    "WorkflowFailed": {
        "plan_id": "p-1",
        "failed_step_id": "s2",
        "error_message": "declined",
        "compensation_executed": True,
        "compensation_results": {"s1": "COMPENSATED"},
    },
    "WorkflowParked": {"plan_id": "p-1", "reason": "a person must decide", "parked_steps": ["s2"]},
}

OPTIONAL = {
    "GoalReceived": {"context"},
    "PlanGenerated": {"template_id", "estimated_duration_seconds", "planner"},
    "ToolCallRequested": {"compensation_activity", "attempt_id", "idempotency_key", "lease_until"},
    "ToolResultReceived": {"result", "error", "resolved_by"},
    "RollbackStarted": {"failed_step_id"},
    "CompensationStarted": {"compensation_activity", "attempt_id", "idempotency_key", "lease_until"},
    "CompensationCompleted": {"result"},
    "LateEffectDetected": {"result"},
    "OperatorActed": {"step_id"},
    "StepBorrowed": {"result"},
    "WorkflowCompleted": {"final_result"},
    "WorkflowFailed": {"plan_id", "failed_step_id", "compensation_results"},
    "WorkflowParked": {"plan_id", "parked_steps"},
}

KINDS: dict[str, type[EventBase]] = {kind.__name__: kind for kind in get_args(get_args(JournalEvent)[0])}


def sample(name: str) -> dict[str, Any]:
    return {**COMMON, "type": name, **SAMPLES[name]}


def test_every_event_has_a_sample_and_a_name_on_the_bus() -> None:
    assert set(KINDS) == set(SAMPLES) == set(ENVELOPE_TYPES)
    assert len(set(ENVELOPE_TYPES.values())) == len(ENVELOPE_TYPES)
    assert all(is_well_formed(name) and is_listed(name) for name in ENVELOPE_TYPES.values())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("GoalReceived", "orchestrator:agent.goal_received"),
        ("PlanGenerated", "orchestrator:agent.plan_generated"),
        ("ToolCallRequested", "orchestrator:agent.tool_call_requested"),
        ("ToolResultReceived", "orchestrator:agent.tool_result_received"),
        ("WorkflowCompleted", "orchestrator:workflow.completed"),
        ("WorkflowFailed", "orchestrator:workflow.failed"),
    ],
)
def test_the_names_that_apps_listen_to_do_not_change(name: str, published: str) -> None:
    assert ENVELOPE_TYPES[name] == published


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stored_event_is_read_and_written_without_loss(name: str) -> None:
    stored = sample(name)
    event = event_from_json(json.dumps(stored))
    assert type(event) is KINDS[name]
    assert event_from_dict(stored) == event
    assert json.loads(event.model_dump_json()) == stored
    assert event.to_wire() == stored


@pytest.mark.parametrize("name", SAMPLES)
def test_only_the_optional_fields_may_be_absent_and_they_stay_absent(name: str) -> None:
    least = {key: value for key, value in sample(name).items() if key not in OPTIONAL.get(name, set())}
    event = event_from_dict(least)
    again = {key: value for key, value in event.to_wire().items() if value not in ([], ())}
    assert again == {key: value for key, value in least.items() if value != []}
    defaults = {"event_id", "seq", "schema_version"}
    for field in least.keys() - defaults:
        with pytest.raises(ValidationError):
            event_from_dict({key: value for key, value in least.items() if key != field})


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    "spoil",
    [
        {"extra": 1},
        {"type": "SomethingElse"},
        {"schema_version": "9.0.0"},
        {"timestamp": "2026-01-01T12:00:00"},
        {"tenant_id": None},
    ],
)
def test_what_does_not_fit_is_refused(name: str, spoil: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        event_from_dict({**sample(name), **spoil})


def test_an_event_cannot_be_changed_by_any_reference() -> None:
    result: dict[str, Any] = {"list": [1]}
    event = ToolResultReceived(
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        correlation_id="c",
        tenant_id="t",
        workflow_id="w",
        tool_name="t",
        step_id="s",
        success=True,
        result=result,
        retry_count=0,
    )
    result["list"].append(2)
    assert event.result == {"list": [1]}
    with pytest.raises(TypeError):
        event.result["list"].append(2)
    with pytest.raises(ValidationError):
        event.seq = 3  # type: ignore[misc]


def test_a_draft_has_an_id_of_its_own_and_no_place_yet() -> None:
    def draft() -> GoalReceived:
        return GoalReceived(
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
            correlation_id="c",
            tenant_id="t",
            workflow_id="w",
            goal="g",
            user_id="u",
        )

    first, second = draft(), draft()
    assert first.event_id != second.event_id
    assert (first.seq, first.schema_version) == (0, "1.0.0")


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


@given(JSON.filter(lambda value: value is not None))
def test_any_result_survives_the_journal_with_its_types(result: Any) -> None:
    event = event_from_dict({**sample("ToolResultReceived"), "result": result})
    again = event_from_json(event.model_dump_json())
    assert isinstance(again, ToolResultReceived)
    assert json.dumps(again.result) == json.dumps(result)
