"""How a ledger entry changes: one pure function per trigger of the transition table."""

from datetime import datetime
from typing import Any

from apex.schema.contract import Contract, Effect
from apex.schema.ledger import EffectState, Entry
from apex.workflow.transitions import Trigger, advance


def never_in_doubt(contract: Contract) -> bool:
    """True where an attempt that did not report surely had no effect: there is none, or it is one transaction with the ledger."""
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
        state = advance(EffectState.NONE, Trigger.INTEND)
        entry = Entry(step_id=step_id, tool=contract.name, state=state, first_intent_at=now)
    abandoned = entry.attempt > 0 and entry.lease_until is not None and not never_in_doubt(contract)
    return entry.model_copy(
        update={
            "state": EffectState.INTENDED if entry.attempt == 0 else advance(entry.state, Trigger.INTEND),
            "attempt": entry.attempt + 1,
            "attempt_id": attempt_id,
            "lease_until": lease_until,
            "in_doubt": entry.in_doubt or abandoned,
            "input": tool_input,
            "error": None,
        }
    )


def refuse(step_id: str, tool: str, error: str) -> Entry:
    """The step is refused before any call: its input cannot be built, or policy forbids it."""
    state = advance(EffectState.NONE, Trigger.REFUSE)
    return Entry(step_id=step_id, tool=tool, state=state, error=error)


def confirm(entry: Entry, result: Any) -> Entry:
    """The effect exists; with it every earlier attempt is settled too, because they share one key."""
    state = advance(entry.state, Trigger.CONFIRM)
    return entry.model_copy(update={"state": state, "result": result, "in_doubt": False, "lease_until": None, "error": None})


def reject(entry: Entry, error: str, *, settles_all: bool = False) -> Entry:
    """This attempt surely had no effect. With an earlier one in doubt that says nothing about the step: it becomes unknown,
    unless the provider says that the key never was and never will be applied (``settles_all``)."""
    if entry.in_doubt and not settles_all:
        return lose(entry, error)
    state = advance(entry.state, Trigger.REJECT)
    return entry.model_copy(update={"state": state, "error": error, "lease_until": None, "in_doubt": False})


def release(entry: Entry, error: str) -> Entry:
    """This attempt surely had no effect and another may follow at once; with an earlier one in doubt it becomes unknown."""
    if entry.in_doubt:
        return lose(entry, error)
    state = advance(entry.state, Trigger.RELEASE)
    return entry.model_copy(update={"state": state, "error": error, "lease_until": None})


def lose(entry: Entry, error: str) -> Entry:
    """Nobody knows whether the effect happened. The lease stays: until it is over, and the provider's time to settle, a request may still land."""
    state = advance(entry.state, Trigger.LOSE)
    return entry.model_copy(update={"state": state, "error": error, "in_doubt": True})


def fence(entry: Entry | None, step_id: str, tool: str) -> Entry:
    """Undo came to a step without an effect: no attempt may have one any more. The attempt id goes, so that a zombie cannot report."""
    if entry is None:
        return Entry(step_id=step_id, tool=tool, state=advance(EffectState.NONE, Trigger.FENCE))
    state = advance(entry.state, Trigger.FENCE)
    return entry.model_copy(update={"state": state, "attempt_id": None, "lease_until": None, "in_doubt": False})


def begin_undo(entry: Entry, *, attempt_id: str, lease_until: datetime) -> Entry:
    """An undo takes the step, under an attempt id of its own."""
    state = advance(entry.state, Trigger.BEGIN_UNDO)
    update = {"state": state, "attempt_id": attempt_id, "lease_until": lease_until, "undo_attempt": entry.undo_attempt + 1}
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
