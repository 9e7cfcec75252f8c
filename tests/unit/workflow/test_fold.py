"""State is a fold over events: every beginning folds, their order is checked, and it always agrees with the ledger."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apex.errors import JournalCorrupt
from apex.schema.contract import Contract, Effect
from apex.schema.events import (
    CompensationCompleted,
    CompensationFailed,
    CompensationStarted,
    EventBase,
    GoalReceived,
    LateEffectDetected,
    PlanGenerated,
    RollbackStarted,
    StepBorrowed,
    StepFenced,
    StepParked,
    StepRetried,
    StepSkipped,
    ToolAttemptReleased,
    ToolCallRequested,
    ToolOutcomeUnknown,
    ToolResultReceived,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowParked,
)
from apex.schema.ledger import EffectState, Entry, Failure, Mode
from apex.schema.plan import Step
from apex.workflow import entries as ledger
from apex.workflow.fold import WorkflowState, fold
from apex.workflow.transitions import TRANSITIONS, Transition, Trigger

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONTRACT = Contract(
    name="t",
    description="A tool with an effect.",
    effect=Effect.REVERSIBLE,
    compensation="undo_t",
    input_schema={},
    output_schema={},
)
STEPS = (Step(id="s1", tool="t"), Step(id="s2", tool="t", depends_on=("s1",)), Step(id="s3", tool="t"))


class Journal:
    """Writes events as a store does: numbered, one second apart."""

    def __init__(self, tenant: str = "acme", workflow_id: str = "w-1") -> None:
        self.events: list[EventBase] = []
        self._who = {"tenant_id": tenant, "workflow_id": workflow_id, "correlation_id": "c-1"}

    @property
    def next_seq(self) -> int:
        return len(self.events) + 1

    def add(self, kind: type[EventBase], **fields: Any) -> EventBase:
        seq = self.next_seq
        event = kind(**self._who, seq=seq, timestamp=NOON + timedelta(seconds=seq), **fields)
        self.events.append(event)
        return event

    def begin(self) -> "Journal":
        self.add(GoalReceived, goal="go", user_id="u-1", context={"a": 1})
        self.add(PlanGenerated, plan_id="p-1", steps=STEPS, cache_hit=True, template_id="tpl", planner="library")
        return self

    def call(self, step_id: str, attempt: int = 1) -> "Journal":
        self.add(ToolCallRequested, tool_name="t", tool_input={"n": attempt}, step_id=step_id, attempt=attempt)
        return self

    def result(self, step_id: str, **fields: Any) -> "Journal":
        self.add(ToolResultReceived, tool_name="t", step_id=step_id, **{"success": True, "retry_count": 0, **fields})
        return self


def a_story() -> list[EventBase]:
    """Two steps done, the third lost and rolled back, one undo failing once, one step parked."""
    journal = Journal().begin().call("s1").result("s1", result={"id": 7}).call("s3").call("s2")
    named = {"tool_name": "t"}
    journal.add(ToolAttemptReleased, **named, step_id="s2", attempt=1, error="busy")
    journal.call("s2", 2).result("s3", result={"id": 8})
    journal.add(ToolOutcomeUnknown, **named, step_id="s2", attempt=2, error="lost")
    journal.add(
        RollbackStarted, generation=2, door="catch", failed_step_id="s2", error="StepUnknown", error_message="m"
    )
    journal.add(StepFenced, **named, step_id="s2")
    journal.add(CompensationStarted, **named, step_id="s3", attempt=1)
    journal.add(CompensationFailed, **named, step_id="s3", attempt=1, error="not now")
    journal.add(CompensationStarted, **named, step_id="s3", attempt=2)
    journal.add(CompensationCompleted, **named, step_id="s3")
    journal.add(StepParked, **named, step_id="s1", reason="cannot be undone")
    journal.add(WorkflowParked, plan_id="p-1", reason="one step is parked", parked_steps=("s1",))
    return journal.events


# ── what it tells ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_journal_is_a_workflow_before_its_first_event() -> None:
    assert fold([]) == WorkflowState()
    assert fold([]).seq == 0


def test_a_whole_story_is_told() -> None:
    state = fold(a_story())
    assert (state.tenant, state.workflow_id, state.correlation_id) == ("acme", "w-1", "c-1")
    assert (state.goal, state.user_id, state.context) == ("go", "u-1", {"a": 1})
    assert (state.plan_id, state.planner, state.cache_hit, state.template_id) == ("p-1", "library", True, "tpl")
    assert state.plan == STEPS
    assert (state.status, state.generation, state.seq) == (Mode.PARKED, 2, 18)
    assert state.failure == Failure(step_id="s2", error="StepUnknown", message="m")
    assert state.parked_steps == ("s1",)
    assert state.duration == timedelta(seconds=17)
    assert [step.step_id for step in state.steps] == ["s1", "s2", "s3"]

    parked, fenced, undone = state.steps
    assert (parked.state, parked.error, parked.result) == (EffectState.PARKED, "cannot be undone", {"id": 7})
    assert parked.duration == timedelta(seconds=1)
    assert (fenced.state, fenced.error, fenced.attempts, fenced.input) == (EffectState.FENCED, "lost", 2, {"n": 2})
    assert (fenced.started_seq, fenced.depends_on) == (6, ("s1",))
    assert (undone.state, undone.error, undone.undo_attempts) == (EffectState.COMPENSATED, None, 2)
    assert undone.undo_duration == timedelta(seconds=3)


def test_a_completed_workflow_has_its_result() -> None:
    journal = Journal().begin().call("s1").result("s1", result=1, resolved_by="probe")
    journal.add(WorkflowCompleted, plan_id="p-1", total_steps=1, duration_seconds=3.0, final_result={"answer": 42})
    state = fold(journal.events)
    assert (state.status, state.final_result, state.failure) == (Mode.COMPLETED, {"answer": 42}, None)
    assert state.duration == timedelta(seconds=4)
    assert state.step("s1").resolved_by == "probe"
    assert state.step("s2").state is EffectState.NONE
    assert state.step("s2").duration is None


def test_a_workflow_that_fails_without_a_rollback_says_why() -> None:
    journal = Journal()
    journal.add(GoalReceived, goal="go", user_id="u-1")
    journal.add(WorkflowFailed, error_message="no plan", compensation_executed=False)
    state = fold(journal.events)
    assert state.status is Mode.FAILED
    assert state.failure is not None
    assert state.failure.message == "no plan"


def test_a_step_refused_before_any_call_was_never_started() -> None:
    step = fold(Journal().begin().result("s1", success=False, error="forbidden").events).step("s1")
    assert (step.state, step.attempts, step.started_seq, step.error) == (EffectState.REJECTED, 0, 0, "forbidden")


def test_a_rollback_reopens_what_had_ended() -> None:
    journal = Journal().begin()
    journal.add(WorkflowCompleted, plan_id="p-1", total_steps=3, duration_seconds=1.0, final_result="done")
    journal.add(RollbackStarted, generation=2, door="operator", error="LateEffect", error_message="m")
    state = fold(journal.events)
    assert (state.status, state.ended_at, state.final_result) == (Mode.ROLLING_BACK, None, None)


def test_a_second_plan_adds_its_steps_and_keeps_what_was_done() -> None:
    journal = Journal().begin().call("s1").result("s1", result=1)
    journal.add(PlanGenerated, plan_id="p-2", steps=(Step(id="r1", tool="u", depends_on=("s1",)),), cache_hit=False)
    state = fold(journal.events)
    assert state.plan_id == "p-2"
    assert [step.id for step in state.plan] == ["s1", "s2", "s3", "r1"]
    assert [step.step_id for step in state.steps] == ["s1", "s2", "s3", "r1"]
    assert state.step("s1").state is EffectState.CONFIRMED
    assert state.step("r1").depends_on == ("s1",)


def test_an_unknown_step_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        fold(a_story()).step("s9")


def test_a_state_survives_the_way_through_json() -> None:
    state = fold(a_story())
    assert WorkflowState.model_validate_json(state.model_dump_json()) == state


# ── what it refuses ─────────────────────────────────────────────────────────────────────────────────────────


def without(index: int) -> Callable[[list[EventBase]], list[EventBase]]:
    return lambda events: events[:index] + events[index + 1 :]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without(0), "there is a gap"),
        (without(5), "event 7 follows event 5: there is a gap"),
        (lambda events: [*events[:5], events[4], *events[5:]], "event 5 follows event 5: it came before"),
        (lambda events: [*events[:3], events[4], events[3], *events[5:]], "there is a gap"),
        (lambda events: [events[0].model_copy(update={"seq": 0})], "it came before"),
        (lambda events: [events[1].model_copy(update={"seq": 1})], "is PlanGenerated, and not the goal"),
        (lambda events: [events[0], events[0].model_copy(update={"seq": 2})], "event 2 is a second goal"),
        (lambda events: [events[0], events[1].model_copy(update={"tenant_id": "evil"})], "belongs to another workflow"),
        (
            lambda events: [events[0], events[1].model_copy(update={"workflow_id": "w-2"})],
            "belongs to another workflow",
        ),
    ],
)
def test_a_journal_that_does_not_follow_is_corrupt(
    spoil: Callable[[list[EventBase]], list[EventBase]], message: str
) -> None:
    with pytest.raises(JournalCorrupt, match=message) as caught:
        fold(spoil(a_story()))
    assert caught.value.code == "APX-5004"


def test_a_gap_between_a_state_and_what_follows_is_seen() -> None:
    events = a_story()
    with pytest.raises(JournalCorrupt, match="event 7 follows event 5"):
        fold(events[6:], fold(events[:5]))


# ── prefixes and continuations ──────────────────────────────────────────────────────────────────────────────


@given(st.integers(0, len(a_story())), st.integers(0, len(a_story())))
def test_folding_on_gives_what_folding_all_gives(first: int, second: int) -> None:
    events = a_story()
    early, late = sorted((first, second))
    assert fold(events[late:], fold(events[early:late], fold(events[:early]))) == fold(events)


def test_folding_leaves_the_state_it_started_from_as_it_was() -> None:
    events = a_story()
    for end in range(len(events)):
        before = fold(events[:end])
        copy = before.model_dump_json()
        fold(events[end:], before)
        assert before.model_dump_json() == copy


# ── the fold and the ledger ─────────────────────────────────────────────────────────────────────────────────


class Ledger:
    """Changes entries with the ledger's own functions, and journals each change with the event that belongs to it."""

    def __init__(self) -> None:
        self.journal = Journal().begin()
        self.entries: dict[str, Entry] = {}

    def state(self, step_id: str) -> EffectState:
        entry = self.entries.get(step_id)
        return entry.state if entry else EffectState.NONE

    def apply(self, step_id: str, trigger: Trigger, text: str = "why") -> None:
        before = self.entries.get(step_id)
        started_seq = self.journal.next_seq
        after = self._change(before, step_id, trigger, text)
        if trigger is Trigger.INTEND and (before is None or before.started_seq == 0):
            after = after.model_copy(update={"started_seq": started_seq})
        self.entries[step_id] = after
        # A rejection or release with an earlier attempt in doubt settles nothing: the ledger then says unknown.
        lost = after.state is EffectState.UNKNOWN and trigger in {Trigger.REJECT, Trigger.RELEASE}
        kind, fields = self._event(Trigger.LOSE if lost else trigger, after, text)
        self.journal.add(kind, step_id=step_id, tool_name="t", **fields)

    def _change(self, before: Entry | None, step_id: str, trigger: Trigger, text: str) -> Entry:
        number, lease = self.journal.next_seq, NOON + timedelta(minutes=1)
        if trigger is Trigger.INTEND:
            return ledger.intend(
                before, step_id, CONTRACT, attempt_id=str(number), now=NOON, lease_until=lease, tool_input={"n": number}
            )
        if trigger is Trigger.REFUSE:
            return ledger.refuse(before, step_id, "t", text)
        if trigger is Trigger.FENCE:
            return ledger.fence(before, step_id, "t")
        if trigger is Trigger.SKIP:
            return ledger.skip(before, step_id, "t")
        if trigger is Trigger.BORROW:
            return ledger.borrow(before or Entry(step_id=step_id, tool="t", state=EffectState.NONE, result=text))
        assert before is not None
        return {
            Trigger.CONFIRM: lambda: ledger.confirm(before, {"of": number}),
            Trigger.REJECT: lambda: ledger.reject(before, text),
            Trigger.RELEASE: lambda: ledger.release(before, text),
            Trigger.LOSE: lambda: ledger.lose(before, text),
            Trigger.BEGIN_UNDO: lambda: ledger.begin_undo(before, attempt_id=str(number), lease_until=lease),
            Trigger.UNDO_FAILED: lambda: ledger.undo_failed(before, text),
            Trigger.COMPENSATE: lambda: ledger.compensate(before),
            Trigger.PARK: lambda: ledger.park(before, text),
            Trigger.LATE: lambda: ledger.come_late(before, {"late": number}),
            Trigger.RETRY: lambda: ledger.retry(before),
            Trigger.MARK_APPLIED: lambda: ledger.mark_applied(before, {"marked": number}),
            Trigger.MARK_NOT_APPLIED: lambda: ledger.mark_not_applied(before, text),
        }[trigger]()

    def _event(self, trigger: Trigger, after: Entry, text: str) -> tuple[type[EventBase], dict[str, Any]]:
        attempt = {"attempt": after.attempt}
        result = {"retry_count": max(0, after.attempt - 1)}
        by_operator = {"resolved_by": "operator"}
        table: dict[Trigger, tuple[type[EventBase], dict[str, Any]]] = {
            Trigger.INTEND: (ToolCallRequested, {**attempt, "tool_input": after.input}),
            Trigger.REFUSE: (ToolResultReceived, {**result, "success": False, "error": text}),
            Trigger.CONFIRM: (ToolResultReceived, {**result, "success": True, "result": after.result}),
            Trigger.REJECT: (ToolResultReceived, {**result, "success": False, "error": text}),
            Trigger.RELEASE: (ToolAttemptReleased, {**attempt, "error": text}),
            Trigger.LOSE: (ToolOutcomeUnknown, {**attempt, "error": text}),
            Trigger.FENCE: (StepFenced, {}),
            Trigger.BEGIN_UNDO: (CompensationStarted, {"attempt": after.undo_attempt}),
            Trigger.UNDO_FAILED: (CompensationFailed, {"attempt": after.undo_attempt, "error": text}),
            Trigger.COMPENSATE: (CompensationCompleted, {}),
            Trigger.PARK: (StepParked, {"reason": text}),
            Trigger.LATE: (LateEffectDetected, {**attempt, "found": "FENCED", "result": after.result}),
            Trigger.RETRY: (StepRetried, {"epoch": after.epoch}),
            Trigger.SKIP: (StepSkipped, {}),
            Trigger.MARK_APPLIED: (
                ToolResultReceived,
                {**result, **by_operator, "success": True, "result": after.result},
            ),
            Trigger.MARK_NOT_APPLIED: (ToolResultReceived, {**result, **by_operator, "success": False, "error": text}),
            Trigger.BORROW: (StepBorrowed, {"result": after.result, "from_workflow_id": "w0"}),
        }
        return table[trigger]

    def check(self, state: WorkflowState) -> None:
        """The journal tells of every step what the ledger holds."""
        for spec in STEPS:
            step, entry = state.step(spec.id), self.entries.get(spec.id)
            if entry is None:
                assert (step.state, step.started_seq) == (EffectState.NONE, 0)
                continue
            told = (
                step.state,
                step.attempts,
                step.undo_attempts,
                step.started_seq,
                step.result,
                step.error,
                step.input,
            )
            held = (
                entry.state,
                entry.attempt,
                entry.undo_attempt,
                entry.started_seq,
                entry.result,
                entry.error,
                entry.input,
            )
            assert told == held


class FoldAgreesWithLedger(RuleBasedStateMachine):
    """Any walk through the transition table, over several steps at once."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.incremental = fold(self.ledger.journal.events)

    def possible(self) -> list[tuple[str, Transition]]:
        return [(spec.id, t) for spec in STEPS for t in TRANSITIONS if t.source is self.ledger.state(spec.id)]

    @precondition(lambda self: bool(self.possible()))
    @rule(data=st.data(), text=st.text(max_size=5))
    def one_transition(self, data: st.DataObject, text: str) -> None:
        step_id, transition = data.draw(st.sampled_from(self.possible()))
        self.ledger.apply(step_id, transition.trigger, text)

    @rule()
    def another_rollback_begins(self) -> None:
        self.ledger.journal.add(RollbackStarted, generation=2, door="janitor", error="E", error_message="m")

    @invariant()
    def the_fold_tells_what_the_ledger_holds(self) -> None:
        self.incremental = fold(self.ledger.journal.events[self.incremental.seq :], self.incremental)
        self.ledger.check(self.incremental)

    def teardown(self) -> None:
        assert self.incremental == fold(self.ledger.journal.events)


TestFoldAgreesWithLedger = FoldAgreesWithLedger.TestCase
TestFoldAgreesWithLedger.settings = settings(max_examples=60, stateful_step_count=30)


def way_to(goal: EffectState) -> list[Trigger]:
    """The shortest way through the table."""
    ways: dict[EffectState, list[Trigger]] = {EffectState.NONE: []}
    waiting = deque([EffectState.NONE])
    while waiting:
        source = waiting.popleft()
        for transition in TRANSITIONS:
            if transition.source is source and transition.target not in ways:
                ways[transition.target] = [*ways[source], transition.trigger]
                waiting.append(transition.target)
    return ways[goal]


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda t: f"{t.source}-{t.trigger.value}-by-{t.actor}")
def test_every_transition_of_the_table_is_told_by_its_event(transition: Transition) -> None:
    book = Ledger()
    for trigger in way_to(transition.source):
        book.apply("s1", trigger)
    assert book.state("s1") is transition.source
    book.apply("s1", transition.trigger)
    state = fold(book.journal.events)
    assert state.step("s1").state is transition.target
    book.check(state)
