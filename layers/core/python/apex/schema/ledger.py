"""What is stored beside the journal: the head of a workflow and one ledger entry per step."""

from datetime import datetime
from enum import StrEnum

from apex.schema.contract import Effect
from apex.schema.ids import WorkflowRef
from apex.schema.wire import FrozenValue, RecordModel


class Mode(StrEnum):
    """What a workflow as a whole may do."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    ROLLING_BACK = "ROLLING_BACK"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    PARKED = "PARKED"

    @property
    def is_final(self) -> bool:
        """True where nothing happens any more unless a person acts."""
        return self in FINAL_MODES


FINAL_MODES = frozenset({Mode.COMPLETED, Mode.FAILED, Mode.CANCELLED, Mode.PARKED})


class EffectState(StrEnum):
    """What is known about a step's effect. ``NONE`` is the absence of a ledger item."""

    NONE = "NONE"
    INTENDED = "INTENDED"
    CONFIRMED = "CONFIRMED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    FENCED = "FENCED"
    UNDOING = "UNDOING"
    COMPENSATED = "COMPENSATED"
    PARKED = "PARKED"
    BORROWED = "BORROWED"


class Failure(RecordModel):
    """Why a workflow does not complete, in words for a person."""

    step_id: str | None = None
    error: str
    message: str


class Head(RecordModel):
    """The one item that serialises a workflow: every change of the journal or ledger also changes it."""

    tenant: str
    workflow_id: str
    mode: Mode
    seq: int
    """Sequence number of the newest journal event."""
    generation: int
    """The execution that may act; older ones are refused."""
    correlation_id: str
    request_hash: str
    created_at: datetime
    deadline: datetime
    plan_id: str | None = None
    step_count: int = 0
    submitted_plan: bool = False
    failure: Failure | None = None
    forking: bool = False
    """A fork whose borrowed steps are not all written: it must not run yet."""
    abandoned: bool = False
    """A person has accepted what is left of a parked workflow."""

    @property
    def ref(self) -> WorkflowRef:
        """The workflow this is the head of."""
        return WorkflowRef(self.tenant, self.workflow_id)


class Entry(RecordModel):
    """One line of the effect ledger: what is known about the effect of one step."""

    step_id: str
    tool: str
    state: EffectState
    started_seq: int = 0
    """Sequence number of the first intent: rollback goes by it. 0 = never started."""
    epoch: int = 0
    attempt: int = 0
    attempt_id: str | None = None
    lease_until: datetime | None = None
    """Until then the attempt, or the undo, may still be at work. Absent = it surely is not."""
    first_intent_at: datetime | None = None
    """When the provider may first have seen the key: the idempotency window counts from here."""
    in_doubt: bool = False
    """True when an attempt before the current one was never resolved: it may have been applied."""
    undo_attempt: int = 0
    undo_round: int = 0
    """How often a late effect or an operator had the effect undone anew: each round has an undo key of its own."""
    skipped: bool = False
    """An operator lets the step count as done."""
    effect: Effect | None = None
    """What the tool's contract said when the step was first intended."""
    input: FrozenValue = None
    """The resolved input of the newest attempt: undo and probe are given exactly this."""
    result: FrozenValue = None
    error: str | None = None

    @property
    def is_done(self) -> bool:
        """True where the steps that depend on this one may run."""
        return self.skipped or self.state in {EffectState.CONFIRMED, EffectState.BORROWED}

    @property
    def may_remain_outside(self) -> bool:
        """True where something of the step exists, or may exist, outside, and nobody has taken responsibility for
        it."""
        if self.state is EffectState.CONFIRMED:
            return self.effect is not Effect.NONE
        return self.state in {EffectState.INTENDED, EffectState.UNKNOWN, EffectState.UNDOING}
