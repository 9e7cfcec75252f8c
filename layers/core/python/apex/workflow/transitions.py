"""The effect ledger's transition table: which change of a step's effect is possible, who makes it, on what condition.

What is not listed is impossible. The stores take their write conditions from here, and docs/reliability.md is generated
from it. The states and the rules behind them follow the saga literature's empty compensation, hanging try and
idempotent retry (the three anomalies of try-confirm-cancel), made explicit as states.
"""

from dataclasses import dataclass
from enum import StrEnum

from apex.schema.ledger import EffectState as S


class Trigger(StrEnum):
    """What happened to a step."""

    INTEND = "intend"
    REFUSE = "refuse"
    CONFIRM = "confirm"
    REJECT = "reject"
    RELEASE = "release"
    LOSE = "lose"
    FENCE = "fence"
    BEGIN_UNDO = "begin undo"
    UNDO_FAILED = "undo failed"
    COMPENSATE = "compensate"
    PARK = "park"
    LATE = "late effect"
    RETRY = "retry"
    SKIP = "skip"
    MARK_APPLIED = "mark applied"
    MARK_NOT_APPLIED = "mark not applied"
    BORROW = "borrow"


@dataclass(frozen=True, slots=True)
class Transition:
    """One possible change: ``source`` --trigger--> ``target``."""

    source: S
    trigger: Trigger
    target: S
    actor: str
    condition: str


_RUNNING = "head.mode is RUNNING and the caller is of the head's generation"
_ATTEMPT = "the caller's attempt id is the entry's"
_STOPPED = "head.mode is PAUSED, FAILED or PARKED; an operator decides, with a reason"
_LATE = "the attempt's effect happened after all; rollback starts anew for it"
_ROLLING = "head.mode is ROLLING_BACK and the caller is of the head's generation"

# fmt: off
TRANSITIONS: tuple[Transition, ...] = (
    Transition(S.NONE, Trigger.INTEND, S.INTENDED, "run", _RUNNING),
    Transition(S.NONE, Trigger.REFUSE, S.REJECTED, "run", f"{_RUNNING}; the input or policy refused it before any call"),
    Transition(S.INTENDED, Trigger.INTEND, S.INTENDED, "run", f"{_RUNNING}; the earlier attempt's lease is over or released"),
    Transition(S.UNKNOWN, Trigger.INTEND, S.INTENDED, "run", f"{_RUNNING}; to probe, or to call again with the same key"),
    Transition(S.INTENDED, Trigger.CONFIRM, S.CONFIRMED, "run", f"{_ATTEMPT}; the tool or its probe says applied"),
    Transition(S.INTENDED, Trigger.REJECT, S.REJECTED, "run", f"{_ATTEMPT}; surely not applied, no earlier attempt in doubt"),
    Transition(S.INTENDED, Trigger.RELEASE, S.INTENDED, "run", f"{_ATTEMPT}; this attempt surely not applied, may be repeated"),
    Transition(S.INTENDED, Trigger.LOSE, S.UNKNOWN, "run", f"{_ATTEMPT}; timeout, crash, lost reply, or an attempt in doubt"),
    Transition(S.INTENDED, Trigger.LOSE, S.UNKNOWN, "undo", f"{_ROLLING}; the lease is over and nobody reported"),
    Transition(S.NONE, Trigger.FENCE, S.FENCED, "undo", f"{_ROLLING}; nothing was recorded: an empty rollback"),
    Transition(S.REJECTED, Trigger.FENCE, S.FENCED, "undo", _ROLLING),
    Transition(S.INTENDED, Trigger.FENCE, S.FENCED, "undo", f"{_ROLLING}; no attempt can have left anything"),
    Transition(S.UNKNOWN, Trigger.FENCE, S.FENCED, "undo", f"{_ROLLING}; the probe says never, or the tool has no effect"),
    Transition(S.CONFIRMED, Trigger.BEGIN_UNDO, S.UNDOING, "undo", _ROLLING),
    Transition(S.UNKNOWN, Trigger.BEGIN_UNDO, S.UNDOING, "undo", f"{_ROLLING}; the probe says applied, or undo tolerates absence"),
    Transition(S.UNDOING, Trigger.BEGIN_UNDO, S.UNDOING, "undo", f"{_ROLLING}; the earlier undo's lease is over or it failed"),
    Transition(S.UNDOING, Trigger.UNDO_FAILED, S.UNDOING, "undo", _ATTEMPT),
    Transition(S.UNDOING, Trigger.COMPENSATE, S.COMPENSATED, "undo", _ATTEMPT),
    Transition(S.UNDOING, Trigger.PARK, S.PARKED, "undo", f"{_ROLLING}; undo kept failing"),
    Transition(S.CONFIRMED, Trigger.PARK, S.PARKED, "undo", f"{_ROLLING}; the effect cannot be undone"),
    Transition(S.UNKNOWN, Trigger.PARK, S.PARKED, "undo", f"{_ROLLING}; it cannot be found out whether there is anything to undo"),
    Transition(S.INTENDED, Trigger.PARK, S.PARKED, "undo", f"{_ROLLING}; the tool's function cannot be run at all"),
    Transition(S.UNKNOWN, Trigger.CONFIRM, S.CONFIRMED, "run", f"{_ATTEMPT}; the lost attempt reports after all"),
    Transition(S.FENCED, Trigger.LATE, S.CONFIRMED, "run", _LATE),
    Transition(S.UNDOING, Trigger.LATE, S.CONFIRMED, "run", _LATE),
    Transition(S.COMPENSATED, Trigger.LATE, S.CONFIRMED, "run", _LATE),
    Transition(S.PARKED, Trigger.LATE, S.PARKED, "run", "the attempt's effect happened after all; a person decides already"),
    Transition(S.REJECTED, Trigger.RETRY, S.NONE, "operator", f"{_STOPPED}; the epoch is raised"),
    Transition(S.FENCED, Trigger.RETRY, S.NONE, "operator", f"{_STOPPED}; the epoch is raised"),
    Transition(S.COMPENSATED, Trigger.RETRY, S.NONE, "operator", f"{_STOPPED}; the epoch is raised"),
    Transition(S.NONE, Trigger.SKIP, S.FENCED, "operator", _STOPPED),
    Transition(S.REJECTED, Trigger.SKIP, S.FENCED, "operator", _STOPPED),
    Transition(S.FENCED, Trigger.SKIP, S.FENCED, "operator", _STOPPED),
    Transition(S.COMPENSATED, Trigger.SKIP, S.COMPENSATED, "operator", _STOPPED),
    Transition(S.UNKNOWN, Trigger.MARK_APPLIED, S.CONFIRMED, "operator", _STOPPED),
    Transition(S.PARKED, Trigger.MARK_APPLIED, S.CONFIRMED, "operator", _STOPPED),
    Transition(S.UNKNOWN, Trigger.MARK_NOT_APPLIED, S.REJECTED, "operator", _STOPPED),
    Transition(S.PARKED, Trigger.MARK_NOT_APPLIED, S.REJECTED, "operator", _STOPPED),
    Transition(S.NONE, Trigger.BORROW, S.BORROWED, "fork", "the step is confirmed in the workflow that is forked"),
)
# fmt: on

_TARGETS: dict[tuple[S, Trigger], S] = {(t.source, t.trigger): t.target for t in TRANSITIONS}


def target(source: S, trigger: Trigger) -> S | None:
    """The state after ``trigger``, or None where the table does not list it."""
    return _TARGETS.get((source, trigger))


def advance(source: S, trigger: Trigger) -> S:
    """The state after ``trigger``; a change that the table does not list is a programming error (``ValueError``)."""
    state = target(source, trigger)
    if state is None:
        raise ValueError(f"the ledger has no transition from {source} on {trigger.value!r}")
    return state
