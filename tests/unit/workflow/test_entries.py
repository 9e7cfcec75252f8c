"""The functions that change a ledger entry: only along the table, whatever is called in whatever order."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.schema.contract import Contract, Effect
from apex.schema.ledger import EffectState, Entry
from apex.workflow import entries as ledger
from apex.workflow.transitions import TRANSITIONS, Trigger, target

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = NOON + timedelta(seconds=20)


def contract(effect: Effect = Effect.REVERSIBLE, *, transactional: bool = False) -> Contract:
    return Contract(
        name="t",
        description="A tool for tests.",
        effect=effect,
        compensation="undo_t" if effect is Effect.REVERSIBLE else None,
        transactional=transactional,
        input_schema={},
        output_schema={},
    )


def entry(state: EffectState, **fields: Any) -> Entry:
    """An entry in that state, as one attempt leaves it."""
    usual: dict[str, Any] = {"attempt": 1, "attempt_id": "a1", "started_seq": 3, "first_intent_at": NOON}
    return Entry(step_id="s1", tool="t", state=state, **{**usual, **fields})


def intend(before: Entry | None, by: Contract | None = None, *, now: datetime = NOON, attempt_id: str = "a2") -> Entry:
    return ledger.intend(
        before,
        "s1",
        by or contract(),
        attempt_id=attempt_id,
        now=now,
        lease_until=now + timedelta(seconds=20),
        tool_input={},
    )


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Move:
    """One function, how it is called on an entry, and the triggers of the table that it may pull."""

    function: Callable[..., Entry]
    call: Callable[[Entry], Entry]
    triggers: tuple[Trigger, ...]

    def __str__(self) -> str:
        return getattr(self.function, "__name__", "change")


CHANGES = (
    Move(ledger.intend, intend, (Trigger.INTEND,)),
    Move(ledger.confirm, lambda e: ledger.confirm(e, {"ok": True}), (Trigger.CONFIRM,)),
    # With an earlier attempt in doubt, what this attempt knows about itself says nothing about the step.
    Move(ledger.reject, lambda e: ledger.reject(e, "no"), (Trigger.REJECT, Trigger.LOSE)),
    Move(ledger.reject, lambda e: ledger.reject(e, "never", settles_all=True), (Trigger.REJECT,)),
    Move(ledger.release, lambda e: ledger.release(e, "busy"), (Trigger.RELEASE, Trigger.LOSE)),
    Move(ledger.lose, lambda e: ledger.lose(e, "lost"), (Trigger.LOSE,)),
    Move(ledger.fence, lambda e: ledger.fence(e, "s1", "t"), (Trigger.FENCE,)),
    Move(ledger.begin_undo, lambda e: ledger.begin_undo(e, attempt_id="u1", lease_until=LEASE), (Trigger.BEGIN_UNDO,)),
    Move(ledger.undo_failed, lambda e: ledger.undo_failed(e, "no"), (Trigger.UNDO_FAILED,)),
    Move(ledger.compensate, ledger.compensate, (Trigger.COMPENSATE,)),
    Move(ledger.park, lambda e: ledger.park(e, "stuck"), (Trigger.PARK,)),
    Move(ledger.come_late, lambda e: ledger.come_late(e, {"id": 1}), (Trigger.LATE,)),
    Move(ledger.retry, ledger.retry, (Trigger.RETRY,)),
    Move(ledger.skip, lambda e: ledger.skip(e, "s1", "t"), (Trigger.SKIP,)),
    Move(ledger.mark_applied, lambda e: ledger.mark_applied(e, None), (Trigger.MARK_APPLIED,)),
    Move(ledger.mark_not_applied, lambda e: ledger.mark_not_applied(e, "no"), (Trigger.MARK_NOT_APPLIED,)),
)
BEGINNINGS: dict[Callable[..., Entry], tuple[Callable[[], Entry], Trigger]] = {
    ledger.intend: (lambda: intend(None), Trigger.INTEND),
    ledger.refuse: (lambda: ledger.refuse(None, "s1", "t", "no"), Trigger.REFUSE),
    ledger.fence: (lambda: ledger.fence(None, "s1", "t"), Trigger.FENCE),
    ledger.skip: (lambda: ledger.skip(None, "s1", "t"), Trigger.SKIP),
    ledger.borrow: (lambda: ledger.borrow(entry(EffectState.CONFIRMED)), Trigger.BORROW),
}


def test_every_function_that_makes_an_entry_is_tested_here() -> None:
    makers = {
        function
        for _, function in inspect.getmembers(ledger, inspect.isfunction)
        if function.__module__ == ledger.__name__ and function.__annotations__.get("return") is Entry
    }

    assert makers == {move.function for move in CHANGES} | set(BEGINNINGS)


@pytest.mark.parametrize("move", CHANGES, ids=str)
@pytest.mark.parametrize("state", list(EffectState))
@pytest.mark.parametrize("in_doubt", [False, True], ids=["sure", "in-doubt"])
@pytest.mark.parametrize("attempt", [0, 1], ids=["never-tried", "tried"])
def test_each_change_goes_along_the_table_or_not_at_all(
    move: Move, state: EffectState, in_doubt: bool, attempt: int
) -> None:
    before = entry(state, in_doubt=in_doubt, attempt=attempt)
    listed = {target(state, trigger) for trigger in move.triggers} - {None}

    if listed:
        assert move.call(before).state in listed
    else:
        with pytest.raises(ValueError, match="no transition"):
            move.call(before)


@pytest.mark.parametrize("function", list(BEGINNINGS), ids=lambda function: function.__name__)
def test_a_step_without_an_entry_begins_along_the_table(function: Any) -> None:
    begin, trigger = BEGINNINGS[function]

    assert begin().state is target(EffectState.NONE, trigger)


_EDGES = {(row.source, row.target) for row in TRANSITIONS}


@given(st.sampled_from(list(BEGINNINGS)), st.lists(st.sampled_from(CHANGES), max_size=30))
def test_no_sequence_of_changes_leaves_the_table(beginning: Any, moves: list[Move]) -> None:
    now = BEGINNINGS[beginning][0]()
    assert (EffectState.NONE, now.state) in _EDGES
    for move in moves:
        try:
            after = move.call(now)
        except ValueError:
            continue
        assert (now.state, after.state) in _EDGES
        now = after


@given(st.lists(st.sampled_from(CHANGES), max_size=30))
def test_what_is_fixed_with_the_first_intent_stays(moves: list[Move]) -> None:
    """The key, the order of undoing and the idempotency window hang on these."""
    now = intend(None).model_copy(update={"started_seq": 7})
    for move in moves:
        try:
            after = move.call(now)
        except ValueError:
            continue
        if move.function is ledger.retry:
            assert after.epoch == now.epoch + 1
            return
        assert (after.step_id, after.tool, after.epoch) == (now.step_id, now.tool, now.epoch)
        assert (after.started_seq, after.first_intent_at) == (7, NOON)
        now = after


# ── what the changes mean ───────────────────────────────────────────────────────────────────────────────────


def test_a_first_intent_takes_the_step() -> None:
    taken = intend(None, attempt_id="a1")

    assert (taken.attempt, taken.attempt_id, taken.in_doubt) == (1, "a1", False)
    assert (taken.first_intent_at, taken.lease_until) == (NOON, LEASE)


def test_a_later_intent_keeps_the_time_of_the_first() -> None:
    later = NOON + timedelta(hours=1)

    taken = intend(entry(EffectState.UNKNOWN, lease_until=LEASE, in_doubt=True), now=later)

    assert taken.first_intent_at == NOON
    assert taken.lease_until == later + timedelta(seconds=20)
    assert (taken.attempt, taken.attempt_id) == (2, "a2")


def test_taking_over_from_an_attempt_that_never_reported_leaves_a_doubt() -> None:
    assert intend(entry(EffectState.INTENDED, lease_until=NOON)).in_doubt


def test_taking_over_from_a_released_attempt_leaves_none() -> None:
    assert not intend(ledger.release(entry(EffectState.INTENDED, lease_until=LEASE), "busy")).in_doubt


@pytest.mark.parametrize(
    "by", [contract(Effect.NONE), contract(transactional=True)], ids=["no-effect", "transactional"]
)
def test_an_attempt_that_cannot_have_left_anything_is_never_in_doubt(by: Contract) -> None:
    assert not intend(entry(EffectState.INTENDED, lease_until=NOON), by).in_doubt


def test_a_rejection_settles_only_its_own_attempt() -> None:
    """An earlier one may have charged the card."""
    after = ledger.reject(entry(EffectState.INTENDED, attempt=2, lease_until=LEASE, in_doubt=True), "declined")

    assert (after.state, after.in_doubt, after.error) == (EffectState.UNKNOWN, True, "declined")


def test_the_providers_never_settles_all_attempts() -> None:
    doubtful = entry(EffectState.INTENDED, attempt=2, lease_until=LEASE, in_doubt=True)

    after = ledger.reject(doubtful, "never", settles_all=True)

    assert (after.state, after.in_doubt, after.lease_until) == (EffectState.REJECTED, False, None)


def test_a_retryable_failure_behind_a_doubt_leaves_the_doubt() -> None:
    after = ledger.release(entry(EffectState.INTENDED, attempt=2, lease_until=LEASE, in_doubt=True), "busy")

    assert (after.state, after.in_doubt) == (EffectState.UNKNOWN, True)


def test_a_lost_attempt_keeps_its_lease_because_its_request_may_still_land() -> None:
    after = ledger.lose(entry(EffectState.INTENDED, lease_until=LEASE), "lost")

    assert (after.lease_until, after.in_doubt) == (LEASE, True)


def test_a_confirmation_settles_every_attempt() -> None:
    after = ledger.confirm(entry(EffectState.INTENDED, lease_until=LEASE, in_doubt=True, error="lost"), {"id": 7})

    assert (after.in_doubt, after.lease_until, after.error, after.result) == (False, None, None, {"id": 7})


def test_a_fence_forgets_the_attempt_so_that_a_zombie_cannot_report() -> None:
    after = ledger.fence(entry(EffectState.INTENDED, lease_until=None), "s1", "t")

    assert (after.attempt_id, after.lease_until) == (None, None)


def test_an_undo_works_under_an_attempt_id_of_its_own() -> None:
    after = ledger.begin_undo(entry(EffectState.CONFIRMED), attempt_id="u1", lease_until=LEASE)

    assert (after.attempt_id, after.undo_attempt, after.attempt, after.lease_until) == ("u1", 1, 1, LEASE)


def test_a_failed_undo_may_be_followed_at_once_and_is_counted() -> None:
    failed = ledger.undo_failed(
        ledger.begin_undo(entry(EffectState.CONFIRMED), attempt_id="u1", lease_until=LEASE), "no"
    )
    again = ledger.begin_undo(failed, attempt_id="u2", lease_until=LEASE)

    assert (failed.lease_until, failed.error) == (None, "no")
    assert again.undo_attempt == 2


def test_a_late_effect_keeps_the_lease_of_the_undo_that_is_at_work() -> None:
    """Otherwise the next rollback would undo the step beside it."""
    until = datetime(2026, 1, 1, 12, tzinfo=UTC)
    undoing = Entry(step_id="s1", tool="t", state=EffectState.UNDOING, attempt_id="undo", lease_until=until)
    late = ledger.come_late(undoing, {"id": 1})
    assert late.lease_until == until
    assert late.attempt_id is None, "the undo under way may not report for the next one"
