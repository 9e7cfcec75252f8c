"""What to do with a step, given what the ledger knows: pure functions of the entry, the contract and the time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from apex.errors import StepBusy, StepError, StepFenced, StepRejected, StepUnresolved
from apex.schema.contract import Contract, Effect, UndoOfAbsent
from apex.schema.ledger import EffectState, Entry
from apex.workflow.entries import never_in_doubt

_GONE = frozenset({EffectState.FENCED, EffectState.UNDOING, EffectState.COMPENSATED, EffectState.PARKED})
_SETTLED = frozenset({EffectState.FENCED, EffectState.COMPENSATED, EffectState.PARKED, EffectState.BORROWED})


@dataclass(frozen=True, slots=True)
class Attempt:
    """Make an attempt; ``probe`` first where an earlier one is in doubt, and ``call`` only while the key is
    remembered."""

    probe: bool
    call: bool


def decide_run(entry: Entry | None, contract: Contract, now: datetime) -> Attempt | Entry | StepError:
    """What a run of this step does: make an attempt, return the stored result (the entry), or refuse with an error."""
    if entry is None or entry.state is EffectState.NONE:
        return Attempt(probe=False, call=True)
    if entry.is_done:
        return entry
    if entry.state is EffectState.REJECTED:
        return StepRejected(entry.error or "the step was rejected", step_id=entry.step_id)
    if entry.state in _GONE:
        return StepFenced(f"step {entry.step_id} is {entry.state.value}", step_id=entry.step_id)
    if entry.state is EffectState.INTENDED:
        if entry.lease_until is None or (now >= entry.lease_until and never_in_doubt(contract)):
            return Attempt(probe=False, call=True)
        if now < entry.lease_until:
            return StepBusy(
                f"attempt {entry.attempt} of step {entry.step_id} may still be at work", step_id=entry.step_id
            )
    callable_again = within_window(entry, contract, now)
    if contract.can_probe or callable_again:
        return Attempt(probe=contract.can_probe, call=callable_again)
    return StepUnresolved(
        f"{contract.name} can neither be probed nor called again, so the outcome of step {entry.step_id} stays open",
        step_id=entry.step_id,
    )


def within_window(entry: Entry, contract: Contract, now: datetime) -> bool:
    """True while a call would land, however late, inside the time for which the provider remembers the key."""
    if entry.first_intent_at is None:
        return True
    lands_by = now + contract.timeout + contract.settles_within
    return lands_by < entry.first_intent_at + contract.idempotency_window


LateAction = Literal["confirm", "late", "nothing"]


def decide_late(entry: Entry | None, contract: Contract, attempt_id: str | None) -> LateAction:
    """What becomes of an effect whose attempt finds that its step was changed meanwhile.

    ``confirm``: nobody knew, and now it is known. ``late``: it was fenced or undone first, so it has to be undone
    (again). ``nothing``: a newer attempt speaks for the same key, or there is no effect that could be late.
    """
    if entry is None or never_in_doubt(contract):
        return "nothing"
    if entry.state is EffectState.UNKNOWN and entry.attempt_id == attempt_id:
        return "confirm"
    return "late" if entry.state in _GONE else "nothing"


UndoAction = Literal["nothing", "fence", "lose", "probe", "undo", "park", "wait"]


@dataclass(frozen=True, slots=True)
class UndoDecision:
    """What an undo does next, and why."""

    action: UndoAction
    reason: str = ""


def decide_undo(entry: Entry | None, contract: Contract, now: datetime) -> UndoDecision:
    """What undoing this step does next; ``probe`` asks the provider and then goes to ``decide_undo_after_probe``."""
    if entry is None or entry.state in {EffectState.NONE, EffectState.REJECTED}:
        return UndoDecision("fence", "it had no effect")
    if entry.state in _SETTLED or (contract.effect is Effect.NONE and entry.state is EffectState.CONFIRMED):
        return UndoDecision("nothing", "there is nothing left to undo")
    if contract.effect is Effect.NONE and entry.state in {EffectState.INTENDED, EffectState.UNKNOWN}:
        return UndoDecision("fence", "it has no effect")
    if entry.state is EffectState.UNKNOWN:
        return UndoDecision("probe") if contract.can_probe else decide_undo_of_unseen(entry, contract, now)
    if entry.lease_until is not None and now < entry.lease_until:
        return UndoDecision("wait", f"an attempt may still be at work until {entry.lease_until.isoformat()}")
    if entry.state is EffectState.INTENDED:
        return _decide_undo_of_unreported(entry, contract)
    return _decide_undo_of_effect(entry, contract)


def _decide_undo_of_effect(entry: Entry, contract: Contract) -> UndoDecision:
    """The effect exists, or an undo of it was begun."""
    if contract.effect is Effect.IRREVERSIBLE:
        return UndoDecision("park", "the effect cannot be undone")
    if entry.state is EffectState.UNDOING and entry.undo_attempt >= contract.undo_attempts:
        return UndoDecision("park", f"undo failed {entry.undo_attempt} times: {entry.error or 'no answer'}")
    return UndoDecision("undo")


def _decide_undo_of_unreported(entry: Entry, contract: Contract) -> UndoDecision:
    """An attempt was begun and is over: either it surely had no effect, or nobody can say any more."""
    if entry.lease_until is None or never_in_doubt(contract):
        return UndoDecision("fence", "no attempt had an effect")
    return UndoDecision("lose", "its lease ended unreported")


def decide_undo_after_probe(
    entry: Entry, contract: Contract, now: datetime, answer: Literal["APPLIED", "NOT_SEEN", "NEVER"]
) -> UndoDecision:
    """What undoing an unknown step does once the provider has answered."""
    if answer == "NEVER":
        return UndoDecision("fence", "the provider never applied it, and will not")
    if answer == "APPLIED":
        if contract.effect is Effect.IRREVERSIBLE:
            return UndoDecision("park", "it was applied and cannot be undone")
        return UndoDecision("undo", "the provider says it was applied")
    return decide_undo_of_unseen(entry, contract, now)


def decide_undo_of_unseen(entry: Entry, contract: Contract, now: datetime) -> UndoDecision:
    """Nobody has seen the effect so far: wait until it cannot land any more, then make sure, or hand it to a person."""
    if contract.effect is Effect.IRREVERSIBLE and not contract.can_probe:
        return UndoDecision("park", "the effect cannot be undone")
    if entry.lease_until is not None and now < entry.lease_until + contract.settles_within:
        settled = entry.lease_until + contract.settles_within
        return UndoDecision("wait", f"a request under way may still land until {settled.isoformat()}")
    if contract.effect is Effect.IRREVERSIBLE or contract.undo_of_absent is UndoOfAbsent.FAILS:
        return UndoDecision("park", "it cannot be found out whether the effect exists")
    return UndoDecision("undo", "the undo is safe whether or not the effect exists")
