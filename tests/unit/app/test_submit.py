"""Accepting a goal: once per key and tenant, whatever happens to whoever submits it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from apex.adapters.memory import ManualClock, MemoryStore, RecordingExecutions, Started
from apex.app.house import House
from apex.app.submit import MAX_GOAL_BYTES, Goal, submit
from apex.errors import InvalidInput, KeyReused
from apex.schema.ids import WorkflowRef, workflow_id_for
from apex.schema.ledger import Mode
from apex.schema.plan import Plan, Step
from tests.unit.app.book import Killed

GOAL = Goal("acme", "ana", "order a lamp", "key-1", context={"colour": "green"})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def executions() -> RecordingExecutions:
    return RecordingExecutions()


@pytest.fixture
def house(store: MemoryStore, executions: RecordingExecutions) -> House:
    return House(store, executions, ManualClock())


def nothing_happened(store: MemoryStore, executions: RecordingExecutions) -> bool:
    return not store.workflows("acme") and not executions.started


def test_an_accepted_goal_is_a_running_workflow_whose_execution_was_started(
    house: House, store: MemoryStore, executions: RecordingExecutions
) -> None:
    submitted = submit(house, replace(GOAL, deadline=timedelta(minutes=5)))

    head = submitted.head
    assert submitted.created
    assert (head.mode, head.seq, head.generation, head.tenant) == (Mode.RUNNING, 1, 1, "acme")
    assert head.workflow_id == workflow_id_for("acme", "key-1")
    assert head.deadline == house.clock.now() + timedelta(minutes=5)
    assert store.head(head.ref) == head
    (received,) = store.events(head.ref)
    assert (received.type, received.goal, received.context) == ("GoalReceived", "order a lamp", {"colour": "green"})  # type: ignore[union-attr]
    assert executions.started == [Started("agent_workflow", "acme", head.workflow_id, 1)]


def test_the_same_key_again_is_the_same_workflow(house: House, store: MemoryStore) -> None:
    first = submit(house, GOAL)

    # Neither the time nor the correlation id is part of what was asked for.
    house.clock.sleep(60)
    second = submit(house, replace(GOAL, correlation_id="another", deadline=timedelta(days=1)))

    assert not second.created
    assert second.head == first.head
    assert len(list(store.events(first.head.ref))) == 1


def test_the_same_key_again_shows_the_workflow_as_it_stands(house: House, store: MemoryStore) -> None:
    head = submit(house, GOAL).head
    from apex.app.rollback import start_rollback
    from apex.schema.ledger import Failure

    start_rollback(house, head.ref, 1, Failure(error="E", message="why not"), "operator")

    assert submit(house, GOAL).head.mode is Mode.ROLLING_BACK


@pytest.mark.parametrize(
    "other",
    [
        {"text": "order two lamps"},
        {"user_id": "bob"},
        {"context": {"colour": "red"}},
        {"context": {}},
        {"plan": Plan(steps=(Step(id="s1", tool="order_item"),))},
    ],
    ids=lambda other: next(iter(other)),
)
def test_the_same_key_with_another_payload_is_a_conflict_and_changes_nothing(
    house: House, store: MemoryStore, executions: RecordingExecutions, other: dict[str, Any]
) -> None:
    first = submit(house, GOAL)

    with pytest.raises(KeyReused) as caught:
        submit(house, replace(GOAL, **other))

    assert caught.value.code == "APX-1501"
    assert caught.value.details["workflow_id"] == first.head.workflow_id
    assert store.head(first.head.ref) == first.head
    assert len(executions.started) == 1


def test_the_order_of_fields_in_the_context_does_not_matter(house: House) -> None:
    submit(house, replace(GOAL, context={"a": 1, "b": {"c": 2, "d": 3}}))

    assert not submit(house, replace(GOAL, context={"b": {"d": 3, "c": 2}, "a": 1})).created


@pytest.mark.parametrize(("one", "other"), [("acme", "evil"), ("a", "a-1"), ("a#b", "a")])
def test_two_tenants_with_the_same_key_have_two_workflows(house: House, one: str, other: str) -> None:
    first, second = submit(house, replace(GOAL, tenant=one)), submit(house, replace(GOAL, tenant=other))

    assert first.created
    assert second.created
    assert first.head.workflow_id != second.head.workflow_id
    assert [head.tenant for head in house.store.workflows(one)] == [one]


def test_no_choice_of_names_makes_two_tenants_share_a_workflow() -> None:
    assert workflow_id_for("a", 'b", "c') != workflow_id_for('a", "b', "c")


def test_whoever_died_between_accepting_and_starting_is_made_up_for_by_the_next_submit(
    house: House, executions: RecordingExecutions, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = executions.start_agent

    def die(tenant: str, workflow_id: str, generation: int) -> str:
        raise Killed

    monkeypatch.setattr(executions, "start_agent", die)
    with pytest.raises(Killed):
        submit(house, GOAL)
    monkeypatch.setattr(executions, "start_agent", start)

    assert not submit(house, GOAL).created
    assert len(executions.started) == 1


def test_a_workflow_that_has_ended_is_not_started_again(house: House, store: MemoryStore) -> None:
    from apex.app.close import close_workflow
    from apex.app.rollback import start_rollback
    from apex.schema.ledger import Failure

    ref = submit(house, GOAL).head.ref
    start_rollback(house, ref, 1, Failure(error="E", message="why not"), "operator")
    close_workflow(house, ref, 2)
    executions = RecordingExecutions()

    assert submit(House(store, executions, house.clock), GOAL).head.mode is Mode.FAILED
    assert executions.started == []


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ({"tenant": ""}, "tenant"),
        # A blank tenant could not be published: an event's tenant is never blank.
        ({"tenant": " \t"}, "tenant"),
        ({"text": ""}, "goal"),
        ({"text": " \n "}, "goal"),
        ({"text": "x" * (MAX_GOAL_BYTES + 1)}, str(MAX_GOAL_BYTES)),
        ({"text": "ä" * (MAX_GOAL_BYTES // 2 + 1)}, str(MAX_GOAL_BYTES)),
        ({"idempotency_key": ""}, "key"),
        ({"text": "half a \ud83d pair"}, "goal"),
        ({"tenant": "\ud83d"}, "tenant"),
        ({"idempotency_key": "\ud83d"}, "key"),
        ({"context": {"price": float("nan")}}, "context.price"),
        ({"context": {"when": object()}}, "context.when"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_goal_that_cannot_be_accepted_says_what_is_wrong_and_leaves_nothing(
    house: House, store: MemoryStore, executions: RecordingExecutions, broken: dict[str, Any], what: str
) -> None:
    with pytest.raises(InvalidInput, match=what):
        submit(house, replace(GOAL, **broken))

    assert nothing_happened(store, executions)


def test_a_goal_of_the_longest_kind_is_accepted(house: House) -> None:
    assert submit(house, replace(GOAL, text="x" * MAX_GOAL_BYTES)).created


def test_a_stranger_sees_nothing(house: House) -> None:
    head = submit(house, GOAL).head

    assert house.store.workflows("evil") == []
    assert list(house.store.events(WorkflowRef("evil", head.workflow_id))) == []
