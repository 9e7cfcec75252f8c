"""Head and ledger entries: what is stored beside the journal."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from apex.schema.ids import WorkflowRef, effect_key, execution_name, workflow_id_for
from apex.schema.ledger import EffectState, Entry, Failure, Head, Mode

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def head(**more: Any) -> Head:
    fields: dict[str, Any] = {
        "tenant": "acme",
        "workflow_id": "w-1",
        "mode": Mode.RUNNING,
        "seq": 1,
        "generation": 1,
        "correlation_id": "c-1",
        "request_hash": "h",
        "created_at": NOON,
        "deadline": NOON + timedelta(hours=1),
    }
    return Head(**(fields | more))


def test_a_workflow_is_final_where_only_a_person_can_go_on() -> None:
    assert {mode.value for mode in Mode if mode.is_final} == {"COMPLETED", "FAILED", "CANCELLED", "PARKED"}
    assert {mode.value for mode in Mode if not mode.is_final} == {"RUNNING", "PAUSED", "ROLLING_BACK"}


def test_a_head_comes_back_from_json_as_it_was() -> None:
    full = head(plan_id="p", step_count=3, submitted_plan=True, failure=Failure(step_id="s", error="E", message="m"))
    for each in (head(), full):
        assert Head.model_validate_json(each.model_dump_json()) == each
    assert head().ref == WorkflowRef("acme", "w-1")


def test_an_entry_comes_back_from_json_as_it_was() -> None:
    entry = Entry(
        step_id="s1",
        tool="t",
        state=EffectState.UNKNOWN,
        started_seq=3,
        attempt=2,
        attempt_id="a-2",
        lease_until=NOON,
        first_intent_at=NOON,
        in_doubt=True,
        undo_attempt=1,
        input={"a": [1.0, 1]},
        result={"b": None},
        error="lost",
    )
    assert Entry.model_validate_json(entry.model_dump_json()) == entry


def test_an_entry_keeps_what_it_was_given() -> None:
    given: dict[str, Any] = {"list": [1]}
    entry = Entry(step_id="s1", tool="t", state=EffectState.INTENDED, input=given, result=given)
    given["list"].append(2)
    assert entry.input == entry.result == {"list": [1]}
    with pytest.raises(TypeError):
        entry.input["list"].append(2)
    with pytest.raises(ValidationError):
        entry.state = EffectState.CONFIRMED  # type: ignore[misc]


# ── names that are computed ─────────────────────────────────────────────────────────────────────────────────


def test_the_same_key_of_the_same_tenant_is_the_same_workflow() -> None:
    assert workflow_id_for("acme", "key-1") == workflow_id_for("acme", "key-1")
    pairs = [("a", "b"), ("a", "c"), ("b", "a"), ("ab", ""), ("", "ab"), ('a", "b', ""), ("a", 'b", "')]
    assert len({workflow_id_for(*pair) for pair in pairs}) == len(pairs)


def test_an_effect_has_one_key_whatever_its_parts_look_like() -> None:
    assert effect_key("w", "s", "run") == effect_key("w", "s", "run", 0)
    keys = {
        effect_key("w", "s", "run"),
        effect_key("w", "s", "undo"),
        effect_key("w", "s", "run", 1),
        effect_key("w", "s2", "run"),
        effect_key("ws", "", "run"),
        effect_key("", "ws", "run"),
        effect_key('w", "s', "", "run"),
    }
    assert len(keys) == 7


def test_an_execution_is_named_after_its_generation() -> None:
    assert execution_name("w-1", 3) == "w-1-3"
    assert execution_name("w-1", 3, rollback=True) == "w-1-3-rb"


def test_execution_names_fit_step_functions() -> None:
    assert len(execution_name(workflow_id_for("t", "k"), 999_999, rollback=True)) <= 80
