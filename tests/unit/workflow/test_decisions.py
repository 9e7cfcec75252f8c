"""What to do with a step, as tables: every state of the ledger, lease, probe, window and kind of effect.

The first row that fits decides; ``ANY`` fits everything. The rows are read as in docs: what is known about the step on
the left, what happens on the right.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from apex.errors import StepBusy, StepFenced, StepRejected, StepUnresolved
from apex.schema.contract import Contract, Effect, UndoOfAbsent
from apex.schema.ledger import EffectState as S
from apex.schema.ledger import Entry
from apex.workflow.decisions import (
    Attempt,
    UndoDecision,
    decide_late,
    decide_run,
    decide_undo,
    decide_undo_after_probe,
    within_window,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTLES = timedelta(seconds=30)
TIMEOUT = timedelta(seconds=10)
ANY = object()

EFFECTS = ("none", "reversible", "irreversible", "transactional")
LEASES = ("released", "within", "over")


def contract(effect: str = "reversible", *, probe: bool = False, window: bool = False, **declared: Any) -> Contract:
    kind = {"transactional": Effect.REVERSIBLE}.get(effect) or Effect(effect)
    return Contract(
        name="t",
        description="A tool for tests.",
        effect=kind,
        compensation="undo_t" if kind is Effect.REVERSIBLE else None,
        transactional=effect == "transactional",
        can_probe=probe,
        idempotency_window=timedelta(hours=24) if window else timedelta(0),
        settles_within=SETTLES,
        timeout=TIMEOUT,
        input_schema={},
        output_schema={},
        **declared,
    )


def entry(state: S, lease: str = "over", **fields: Any) -> Entry:
    lease_until = {"released": None, "within": NOON + timedelta(seconds=1), "over": NOON}[lease]
    usual: dict[str, Any] = {
        "attempt": 1,
        "attempt_id": "a1",
        "started_seq": 3,
        "first_intent_at": NOON - timedelta(minutes=1),
    }
    return Entry(step_id="s1", tool="t", state=state, lease_until=lease_until, **{**usual, **fields})


def the_row(rows: Sequence[tuple[Any, ...]], *facts: object) -> Any:
    """The right side of the first row whose left side fits the facts."""
    for *left, right in rows:
        if all(
            wanted is ANY or fact == wanted or (isinstance(wanted, frozenset) and fact in wanted)
            for wanted, fact in zip(left, facts, strict=True)
        ):
            return right
    raise AssertionError(f"no row fits {facts}")


# ── run ─────────────────────────────────────────────────────────────────────────────────────────────────────

CALL, PROBE, PROBE_THEN_CALL = Attempt(False, True), Attempt(True, False), Attempt(True, True)
GONE = frozenset({S.FENCED, S.UNDOING, S.COMPENSATED, S.PARKED})
DONE = frozenset({S.CONFIRMED, S.BORROWED})
SURE = frozenset({"none", "transactional"})

RUN = (
    # state        lease       probe  window effect
    (S.NONE,       ANY,        ANY,   ANY,   ANY,  CALL),
    (DONE,         ANY,        ANY,   ANY,   ANY,  "the stored result"),
    (S.REJECTED,   ANY,        ANY,   ANY,   ANY,  StepRejected),
    (GONE,         ANY,        ANY,   ANY,   ANY,  StepFenced),
    (S.INTENDED,   "released", ANY,   ANY,   ANY,  CALL),
    (S.INTENDED,   "within",   ANY,   ANY,   ANY,  StepBusy),
    (S.INTENDED,   "over",     ANY,   ANY,   SURE, CALL),
    # What is left is in doubt: ask, call again while the key is remembered, or leave it open.
    (ANY,          ANY,        True,  True,  ANY,  PROBE_THEN_CALL),
    (ANY,          ANY,        True,  False, ANY,  PROBE),
    (ANY,          ANY,        False, True,  ANY,  CALL),
    (ANY,          ANY,        False, False, ANY,  StepUnresolved),
)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "lease", "probe", "window", "effect"), list(product(S, LEASES, (True, False), (True, False), EFFECTS))
)
def test_run(state: S, lease: str, probe: bool, window: bool, effect: str) -> None:
    stored = entry(state, lease)
    expected = the_row(RUN, state, lease, probe, window, effect)

    decision = decide_run(stored, contract(effect, probe=probe, window=window), NOON)

    if expected == "the stored result":
        assert decision is stored
    elif isinstance(expected, Attempt):
        assert decision == expected
    else:
        assert type(decision) is expected


def test_a_step_without_an_entry_is_called() -> None:
    assert decide_run(None, contract(probe=True), NOON) == CALL


def test_a_skipped_step_counts_as_done() -> None:
    skipped = entry(S.FENCED, skipped=True)

    assert decide_run(skipped, contract(), NOON) is skipped


def test_a_rejection_repeats_its_reason() -> None:
    decision = decide_run(entry(S.REJECTED, error="sold out"), contract(), NOON)

    assert isinstance(decision, StepRejected)
    assert "sold out" in decision.message


@pytest.mark.parametrize(
    ("age", "inside"),
    [
        (timedelta(0), True),
        (timedelta(minutes=4, seconds=19), True),
        # A call that begins now lands, at the latest, exactly when the provider forgets the key: too late.
        (timedelta(minutes=4, seconds=20), False),
        (timedelta(minutes=5), False),
        (timedelta(days=400), False),
    ],
)
def test_the_window_leaves_room_for_a_call_that_lands_as_late_as_it_may(age: timedelta, inside: bool) -> None:
    five_minutes = contract().model_copy(update={"idempotency_window": timedelta(minutes=5)})

    assert within_window(entry(S.UNKNOWN, first_intent_at=NOON - age), five_minutes, NOON) is inside


def test_the_lease_ends_at_its_end() -> None:
    held = entry(S.INTENDED, "over")

    assert isinstance(decide_run(held, contract(), NOON - timedelta(microseconds=1)), StepBusy)
    assert isinstance(decide_run(held, contract(), NOON), StepUnresolved)


# ── undo ────────────────────────────────────────────────────────────────────────────────────────────────────

NOTHING_LEFT = frozenset({S.FENCED, S.COMPENSATED, S.PARKED, S.BORROWED})

UNDO = (
    # state        lease       probe  effect
    (S.NONE,       ANY,        ANY,   ANY,            "fence"),
    (S.REJECTED,   ANY,        ANY,   ANY,            "fence"),
    (NOTHING_LEFT, ANY,        ANY,   ANY,            "nothing"),
    (S.CONFIRMED,  ANY,        ANY,   "none",         "nothing"),
    (S.INTENDED,   ANY,        ANY,   "none",         "fence"),
    (S.INTENDED,   "within",   ANY,   ANY,            "wait"),
    (S.INTENDED,   "released", ANY,   ANY,            "fence"),
    (S.INTENDED,   "over",     ANY,   "transactional", "fence"),
    (S.INTENDED,   "over",     ANY,   ANY,            "lose"),
    (S.UNKNOWN,    ANY,        ANY,   "none",         "fence"),
    (S.UNKNOWN,    ANY,        True,  ANY,            "probe"),
    (S.UNKNOWN,    ANY,        False, "irreversible", "park"),
    (S.UNKNOWN,    "released", False, ANY,            "undo"),
    # The lease is over at noon at the earliest, and then a request may still land for half a minute.
    (S.UNKNOWN,    ANY,        False, ANY,            "wait"),
    (S.UNDOING,    "within",   ANY,   ANY,            "wait"),
    (ANY,          ANY,        ANY,   "irreversible", "park"),
    (ANY,          ANY,        ANY,   ANY,            "undo"),
)  # fmt: skip


def undoable(effect: str, state: S) -> bool:
    """Whether such a tool can be in such a state: what has no effect, or cannot be undone, is never being undone."""
    return not (effect in {"none", "irreversible"} and state in {S.UNDOING, S.COMPENSATED})


@pytest.mark.parametrize(
    ("state", "lease", "probe", "effect"),
    [
        (state, lease, probe, effect)
        for state, lease, probe, effect in product(S, LEASES, (True, False), EFFECTS)
        if undoable(effect, state)
        # A confirmed step has given its lease back.
        and not (state is S.CONFIRMED and lease != "released")
    ],
)
def test_undo(state: S, lease: str, probe: bool, effect: str) -> None:
    tolerant = contract(effect, probe=probe, undo_of_absent=UndoOfAbsent.TOLERATES)

    decision = decide_undo(entry(state, lease), tolerant, NOON)

    assert decision.action == the_row(UNDO, state, lease, probe, effect)


def test_undoing_a_step_without_an_entry_leaves_a_fence() -> None:
    assert decide_undo(None, contract(), NOON).action == "fence"


@pytest.mark.parametrize(("failed", "action"), [(0, "undo"), (2, "undo"), (3, "park"), (4, "park")])
def test_an_undo_is_tried_as_often_as_its_contract_allows(failed: int, action: str) -> None:
    undoing = entry(S.UNDOING, "released", undo_attempt=failed, error="the airline is closed")

    decision = decide_undo(undoing, contract(undo_attempts=3), NOON)

    assert decision.action == action
    if action == "park":
        assert "the airline is closed" in decision.reason


UNSEEN = (
    # settled  undo of absent           effect
    (False,    ANY,                     ANY,            "wait"),
    (True,     ANY,                     "irreversible", "park"),
    (True,     UndoOfAbsent.FAILS,      ANY,            "park"),
    (True,     UndoOfAbsent.TOLERATES,  ANY,            "undo"),
    (True,     UndoOfAbsent.FENCES,     ANY,            "undo"),
)  # fmt: skip


@pytest.mark.parametrize("since", [timedelta(seconds=-1), timedelta(0), SETTLES - timedelta(seconds=1), SETTLES])
@pytest.mark.parametrize("absent", list(UndoOfAbsent))
@pytest.mark.parametrize("effect", ["reversible", "irreversible"])
@pytest.mark.parametrize("probe", [True, False], ids=["after-probe", "no-probe"])
def test_undo_of_what_nobody_has_seen(since: timedelta, absent: UndoOfAbsent, effect: str, probe: bool) -> None:
    lost = entry(S.UNKNOWN, "over", in_doubt=True)
    tool, now = contract(effect, probe=probe, undo_of_absent=absent), NOON + since

    decision = decide_undo_after_probe(lost, tool, now, "NOT_SEEN") if probe else decide_undo(lost, tool, now)

    if effect == "irreversible" and not probe:
        assert decision.action == "park", "there is nobody to ask, so there is nothing to wait for"
    else:
        assert decision.action == the_row(UNSEEN, since >= SETTLES, absent, effect)


@pytest.mark.parametrize("absent", list(UndoOfAbsent))
@pytest.mark.parametrize("since", [timedelta(seconds=-1), SETTLES])
def test_undo_when_the_provider_knows(absent: UndoOfAbsent, since: timedelta) -> None:
    lost, now = entry(S.UNKNOWN, "over", in_doubt=True), NOON + since
    reversible = contract(probe=True, undo_of_absent=absent)
    irreversible = contract("irreversible", probe=True, undo_of_absent=absent)

    assert decide_undo_after_probe(lost, reversible, now, "APPLIED").action == "undo"
    assert decide_undo_after_probe(lost, irreversible, now, "APPLIED").action == "park"
    assert decide_undo_after_probe(lost, reversible, now, "NEVER").action == "fence"
    assert decide_undo_after_probe(lost, irreversible, now, "NEVER").action == "fence"


def test_every_refusal_to_undo_now_says_why() -> None:
    for decision in (
        decide_undo(entry(S.INTENDED, "within"), contract(), NOON),
        decide_undo(entry(S.UNKNOWN, "over"), contract(), NOON),
        decide_undo(entry(S.CONFIRMED, "released"), contract("irreversible"), NOON),
        decide_undo_after_probe(entry(S.UNKNOWN, "over"), contract(probe=True), NOON + SETTLES, "NOT_SEEN"),
    ):
        assert isinstance(decision, UndoDecision)
        assert decision.action in {"wait", "park"}
        assert decision.reason


# ── late effects ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", list(S))
def test_an_effect_is_late_where_its_step_was_taken_back_first(state: S) -> None:
    assert (decide_late(entry(state), contract(), "a1") == "late") is (state in GONE)


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("effect", sorted(SURE))
def test_what_cannot_have_left_anything_is_never_late(state: S, effect: str) -> None:
    assert decide_late(entry(state), contract(effect), "a1") == "nothing"


def test_a_lost_attempt_that_reports_after_all_settles_the_step() -> None:
    assert decide_late(entry(S.UNKNOWN), contract(), "a1") == "confirm"


def test_an_older_attempt_says_nothing_while_a_newer_one_speaks_for_the_same_key() -> None:
    assert decide_late(entry(S.UNKNOWN), contract(), "a0") == "nothing"
    assert decide_late(entry(S.INTENDED), contract(), "a0") == "nothing"
