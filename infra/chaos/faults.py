"""The faults that the simulator knows, by name, and how one is put into a program."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What may go wrong. Each is counted when it struck, not when it was planned."""

    # a function dies, or stands still, at a named point
    BEFORE_INTENT = "before_intent"
    """The function dies before the intent is written."""
    AFTER_INTENT = "after_intent"
    """The function dies after the intent is written and before the tool is called."""
    AFTER_EFFECT = "after_effect"
    """The function dies after the effect and before its outcome is written."""
    AFTER_OUTCOME = "after_outcome"
    """The function dies after the outcome is written and before it has answered."""
    DURING_UNDO = "during_undo"
    """The function dies between the undo and the record of it."""
    AFTER_COMPENSATION = "after_compensation"
    """The function dies after the compensation is recorded and before it has answered."""
    ZOMBIE = "zombie"
    """The function stands still after the effect and goes on long after it was given up."""
    LATE_SENDER = "late_sender"
    """The function stands still just before its request leaves, and sends it long after it was given up."""
    UNDO_ZOMBIE = "undo_zombie"
    """The function stands still between the undo and the record of it, and goes on long after it was given up."""

    # the provider and the way to it
    REPLY_LOST = "reply_lost"
    """The effect is applied but the reply is lost."""
    LANDS_LATE = "lands_late"
    """The request is given up while it is still under way, and lands within the time in which it may."""
    UNAVAILABLE = "unavailable"
    """The provider cannot be reached: surely nothing is applied."""
    SLOW = "slow"
    """The provider takes nearly all the time that it has before it answers."""
    PROBE_UNAVAILABLE = "probe_unavailable"
    """The provider cannot be asked whether it happened."""
    UNDO_FAILS = "undo_fails"
    """The undo fails n times."""
    UNDO_REPLY_LOST = "undo_reply_lost"
    """The undo is carried out but its reply is lost."""

    # the tables and the bucket
    APPEND_TIMED_OUT = "append_timed_out"
    """A transaction is applied but no answer comes."""
    APPEND_REJECTED = "append_rejected"
    """A transaction is not applied and no answer comes."""
    APPEND_CONFLICT = "append_conflict"
    """A transaction meets another one on the same items, several times in a row."""
    THROTTLED = "throttled"
    """Reads or writes are refused because the table is over its capacity."""
    PAYLOAD_OVERSIZED = "payload_oversized"
    """A result is too large for an item, and the bucket fails when it is first written."""

    # executions and deliveries
    EXECUTION_STOPPED = "execution_stopped"
    """An execution is stopped from outside at a boundary between states."""
    ROLLBACK_STOPPED = "rollback_stopped"
    """The rollback's execution is stopped from outside at a boundary between states."""
    START_LOST = "start_lost"
    """Starting an execution fails: nothing is started."""
    INVOCATION_REFUSED = "invocation_refused"
    """Lambda refuses to invoke a function: too many at once."""
    EVENT_LOST = "event_lost"
    """Nobody is told that an execution ended: only the sweep can find it."""
    DUPLICATE_DELIVERY = "duplicate_delivery"
    """A function is invoked twice with the same request, side by side."""
    REORDERED_DELIVERY = "reordered_delivery"
    """A request to a function is delivered once more, long after later ones."""
    STREAM_REDELIVERED = "stream_redelivered"
    """Records of the journal's stream are delivered again, and their envelopes out of order."""
    STREAM_POISONED = "stream_poisoned"
    """A record of the journal's stream cannot be read."""

    # people
    OPERATOR_COMPENSATES = "operator_compensates"
    """An operator has a running or finished workflow undone."""
    OPERATOR_RESUMES = "operator_resumes"
    """An operator looks at what is outside, sets the steps of a failed or parked workflow right and has it go on."""


NO_STEP = -1
"""Stands in the place of a step where a function is meant that is not called for one."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of a program. ``step`` is the position of the step that it strikes, if it strikes one; ``nth`` counts
    the occasions that pass before it strikes, from 0; ``times`` is how often it strikes in a row, ``delay`` in
    seconds."""

    fault: Fault
    step: int = 0
    nth: int = 0
    times: int = 1
    delay: float = 0.0


@dataclass
class Plot:
    """The faults of one run, as they are used up."""

    planned: tuple[PlannedFault, ...]
    fired: Counter[Fault] = field(default_factory=Counter)
    over: bool = False
    """Once set nothing strikes any more."""
    _passed: Counter[int] = field(default_factory=Counter)
    _struck: Counter[int] = field(default_factory=Counter)

    def strikes(self, fault: Fault, step: int | None = None) -> PlannedFault | None:
        """The planned fault that strikes at this occasion, if one does; asking counts as an occasion."""
        if self.over:
            return None
        for at, planned in enumerate(self.planned):
            if planned.fault is not fault or (step is not None and planned.step != step):
                continue
            if self._struck[at] >= planned.times:
                continue
            if self._passed[at] < planned.nth:
                self._passed[at] += 1
                continue
            self._struck[at] += 1
            self.fired[fault] += 1
            return planned
        return None
