"""How a ledger entry changes: one pure function per trigger of the transition table."""

from datetime import datetime
from typing import Any

from apex.schema.contract import Contract, Effect
from apex.schema.ledger import EffectState, Entry
from apex.workflow.transitions import Trigger, advance


def never_in_doubt(contract: Contract) -> bool:
    """True where an attempt that did not report surely had no effect: there is none, or it is one transaction with
    the ledger."""
    return contract.effect is Effect.NONE or contract.transactional


def intend(
    entry: Entry | None,
    step_id: str,
    contract: Contract,
    *,
    attempt_id: str,
    now: datetime,
    lease_until: datetime,
    tool_input: Any,
) -> Entry:
    """A new attempt takes the step. An earlier one that never reported stays in doubt."""
    if entry is None:
        entry = Entry(step_id=step_id, tool=contract.name, state=EffectState.NONE)
    abandoned = entry.attempt > 0 and entry.lease_until is not None and not never_in_doubt(contract)
    return entry.model_copy(
        update={
            "state": advance(entry.state, Trigger.INTEND),
            "attempt": entry.attempt + 1,
            "attempt_id": attempt_id,
            "lease_until": lease_until,
            "first_intent_at": entry.first_intent_at or now,
            "in_doubt": entry.in_doubt or abandoned,
            "effect": contract.effect,
            "input": tool_input,
            "error": None,
        }
    )


def refuse(entry: Entry | None, step_id: str, tool: str, error: str) -> Entry:
    """The step is refused before any call: its input cannot be built, or policy forbids it. What came before (the
    epoch) is kept."""
    entry = entry or Entry(step_id=step_id, tool=tool, state=EffectState.NONE)
    return entry.model_copy(update={"state": advance(entry.state, Trigger.REFUSE), "error": error})


def confirm(entry: Entry, result: Any) -> Entry:
    """The effect exists; with it every earlier attempt is settled too, because they share one key."""
    state = advance(entry.state, Trigger.CONFIRM)
    return entry.model_copy(
        update={"state": state, "result": result, "in_doubt": False, "lease_until": None, "error": None}
    )


def reject(entry: Entry, error: str, *, settles_all: bool = False) -> Entry:
    """This attempt surely had no effect. With an earlier one in doubt that says nothing about the step: it becomes
    unknown, unless the provider says that the key never was and never will be applied (``settles_all``)."""
    if entry.in_doubt and not settles_all:
        return lose(entry, error)
    state = advance(entry.state, Trigger.REJECT)
    return entry.model_copy(update={"state": state, "error": error, "lease_until": None, "in_doubt": False})


def release(entry: Entry, error: str) -> Entry:
    """This attempt surely had no effect and another may follow at once; with an earlier one in doubt it becomes
    unknown."""
    if entry.in_doubt:
        return lose(entry, error)
    state = advance(entry.state, Trigger.RELEASE)
    return entry.model_copy(update={"state": state, "error": error, "lease_until": None})


def lose(entry: Entry, error: str) -> Entry:
    """Nobody knows whether the effect happened. The lease stays: until it is over, and the provider's time to settle,
    a request may still land."""
    state = advance(entry.state, Trigger.LOSE)
    return entry.model_copy(update={"state": state, "error": error, "in_doubt": True})


def fence(entry: Entry | None, step_id: str, tool: str) -> Entry:
    """Undo came to a step without an effect: no attempt may have one any more. The attempt id goes, so that a zombie
    cannot report."""
    if entry is None:
        return Entry(step_id=step_id, tool=tool, state=advance(EffectState.NONE, Trigger.FENCE))
    state = advance(entry.state, Trigger.FENCE)
    return entry.model_copy(update={"state": state, "attempt_id": None, "lease_until": None, "in_doubt": False})


def begin_undo(entry: Entry, *, attempt_id: str, lease_until: datetime) -> Entry:
    """An undo takes the step, under an attempt id of its own."""
    state = advance(entry.state, Trigger.BEGIN_UNDO)
    update = {
        "state": state,
        "attempt_id": attempt_id,
        "lease_until": lease_until,
        "undo_attempt": entry.undo_attempt + 1,
    }
    return entry.model_copy(update=update)


def undo_failed(entry: Entry, error: str) -> Entry:
    """An undo failed; the next may start at once."""
    state = advance(entry.state, Trigger.UNDO_FAILED)
    return entry.model_copy(update={"state": state, "error": error, "lease_until": None})


def compensate(entry: Entry) -> Entry:
    """The effect is undone."""
    state = advance(entry.state, Trigger.COMPENSATE)
    return entry.model_copy(update={"state": state, "lease_until": None, "in_doubt": False, "error": None})


def park(entry: Entry, reason: str) -> Entry:
    """The effect stays until a person has decided."""
    state = advance(entry.state, Trigger.PARK)
    return entry.model_copy(update={"state": state, "error": reason, "lease_until": None})


def come_late(entry: Entry, result: Any) -> Entry:
    """The effect happened although the step was fenced or undone meanwhile: it exists, and has to be undone under a
    fresh key. An undo under way may still be at work, so its lease stays."""
    state = advance(entry.state, Trigger.LATE)
    if state is EffectState.PARKED:
        return entry.model_copy(update={"result": result if entry.result is None else entry.result})
    update = {
        "state": state,
        "result": result,
        "attempt_id": None,
        "lease_until": entry.lease_until if entry.state is EffectState.UNDOING else None,
        "in_doubt": False,
        "undo_attempt": 0,
        "undo_round": entry.undo_round + 1,
        "error": None,
    }
    return entry.model_copy(update=update)


def retry(entry: Entry) -> Entry:
    """An operator puts the step back to its beginning: it runs as a new effect, under a key of the next epoch."""
    state = advance(entry.state, Trigger.RETRY)
    return Entry(step_id=entry.step_id, tool=entry.tool, state=state, epoch=entry.epoch + 1)


def skip(entry: Entry | None, step_id: str, tool: str) -> Entry:
    """An operator lets the step count as done; it stays fenced, so that nobody runs it."""
    entry = entry or Entry(step_id=step_id, tool=tool, state=EffectState.NONE)
    return entry.model_copy(update={"state": advance(entry.state, Trigger.SKIP), "skipped": True, "attempt_id": None})


def mark_applied(entry: Entry, result: Any) -> Entry:
    """An operator knows that the effect exists."""
    state = advance(entry.state, Trigger.MARK_APPLIED)
    update = {"state": state, "lease_until": None, "in_doubt": False, "error": None, "undo_attempt": 0}
    if result is not None:
        update["result"] = result
    return entry.model_copy(update={**update, "undo_round": entry.undo_round + 1})


def mark_not_applied(entry: Entry, why: str) -> Entry:
    """An operator knows that the effect does not exist."""
    state = advance(entry.state, Trigger.MARK_NOT_APPLIED)
    return entry.model_copy(
        update={"state": state, "lease_until": None, "in_doubt": False, "result": None, "error": why}
    )


def borrow(entry: Entry) -> Entry:
    """The step as a fork sees it: done, with its result, and not the fork's to undo."""
    state = advance(EffectState.NONE, Trigger.BORROW)
    return Entry(step_id=entry.step_id, tool=entry.tool, state=state, result=entry.result)
