"""The journal's events. The state of a workflow is a pure fold over them; stored ones are never changed."""

from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import AwareDatetime, Field, TypeAdapter

from apex.schema.plan import Step
from apex.schema.wire import FrozenJson, FrozenValue, RecordModel

SCHEMA_VERSION: Literal["1.0.0"] = "1.0.0"


class EventBase(RecordModel):
    """What every event carries. ``seq`` is 0 until the store has given the event its place in the journal."""

    event_id: str = Field(default_factory=lambda: str(uuid4()))
    timestamp: AwareDatetime
    correlation_id: str
    tenant_id: str
    workflow_id: str
    seq: int = 0
    schema_version: Literal["1.0.0"] = SCHEMA_VERSION


class GoalReceived(EventBase):
    """A goal was accepted; always the first event."""

    type: Literal["GoalReceived"] = "GoalReceived"
    goal: str
    user_id: str
    context: FrozenJson | None = None


class PlanGenerated(EventBase):
    """A validated plan was found or made."""

    type: Literal["PlanGenerated"] = "PlanGenerated"
    plan_id: str
    steps: tuple[Step, ...]
    cache_hit: bool
    template_id: str | None = None
    estimated_duration_seconds: float | None = None
    planner: str | None = None


class ToolCallRequested(EventBase):
    """An attempt of a step is about to call its tool: the intent, written before the effect."""

    type: Literal["ToolCallRequested"] = "ToolCallRequested"
    tool_name: str
    tool_input: FrozenJson
    step_id: str
    compensation_activity: str | None = None
    attempt: int
    attempt_id: str | None = None
    idempotency_key: str | None = None
    lease_until: AwareDatetime | None = None


class ToolResultReceived(EventBase):
    """The outcome of a step is known: applied, with its result, or surely not applied."""

    type: Literal["ToolResultReceived"] = "ToolResultReceived"
    tool_name: str
    step_id: str
    success: bool
    result: FrozenValue = None
    error: str | None = None
    retry_count: int
    resolved_by: Literal["reply", "probe", "operator"] | None = None


class ToolAttemptReleased(EventBase):
    """An attempt surely had no effect and may be followed by another one."""

    type: Literal["ToolAttemptReleased"] = "ToolAttemptReleased"
    tool_name: str
    step_id: str
    attempt: int
    error: str


class ToolOutcomeUnknown(EventBase):
    """An attempt ended without anybody knowing whether its effect happened."""

    type: Literal["ToolOutcomeUnknown"] = "ToolOutcomeUnknown"
    tool_name: str
    step_id: str
    attempt: int
    error: str


class RollbackStarted(EventBase):
    """No step may start any more; what was done is undone from here on."""

    type: Literal["RollbackStarted"] = "RollbackStarted"
    generation: int
    door: Literal["catch", "janitor", "operator", "late_effect"]
    failed_step_id: str | None = None
    error: str
    error_message: str


class StepFenced(EventBase):
    """Undo came to a step that had no effect: a later run of it is refused."""

    type: Literal["StepFenced"] = "StepFenced"
    step_id: str
    tool_name: str


class CompensationStarted(EventBase):
    """An undo is about to call its tool."""

    type: Literal["CompensationStarted"] = "CompensationStarted"
    step_id: str
    tool_name: str
    compensation_activity: str | None = None
    attempt: int
    attempt_id: str | None = None
    idempotency_key: str | None = None
    lease_until: AwareDatetime | None = None


class CompensationFailed(EventBase):
    """An attempt to undo failed; it may be tried again."""

    type: Literal["CompensationFailed"] = "CompensationFailed"
    step_id: str
    tool_name: str
    attempt: int
    error: str


class CompensationCompleted(EventBase):
    """The effect of a step was undone."""

    type: Literal["CompensationCompleted"] = "CompensationCompleted"
    step_id: str
    tool_name: str
    result: FrozenValue = None


class StepParked(EventBase):
    """The effect of a step could not be undone; a person must look at it."""

    type: Literal["StepParked"] = "StepParked"
    step_id: str
    tool_name: str
    reason: str


class LateEffectDetected(EventBase):
    """An attempt reports an effect although its step was fenced, undone or parked meanwhile: the effect has to be
    undone again."""

    type: Literal["LateEffectDetected"] = "LateEffectDetected"
    step_id: str
    tool_name: str
    attempt: int
    found: str
    """The state in which the attempt found its step."""
    result: FrozenValue = None


class GenerationStarted(EventBase):
    """A fresh execution takes the workflow over; the older ones may not act any more."""

    type: Literal["GenerationStarted"] = "GenerationStarted"
    generation: int
    reason: Literal["handover", "resumed"]


class OperatorActed(EventBase):
    """A person decided something; what follows from it is in the events behind this one."""

    type: Literal["OperatorActed"] = "OperatorActed"
    verb: str
    step_id: str | None = None
    by: str
    why: str


class StepRetried(EventBase):
    """A step is put back to its beginning, under a fresh key."""

    type: Literal["StepRetried"] = "StepRetried"
    step_id: str
    tool_name: str
    epoch: int


class StepSkipped(EventBase):
    """A step counts as done without having been run."""

    type: Literal["StepSkipped"] = "StepSkipped"
    step_id: str
    tool_name: str


class StepBorrowed(EventBase):
    """A fork uses the effect of the workflow it was forked from; it never undoes it."""

    type: Literal["StepBorrowed"] = "StepBorrowed"
    step_id: str
    tool_name: str
    result: FrozenValue = None
    from_workflow_id: str


class WorkflowAbandoned(EventBase):
    """A person accepts what is left of a parked workflow."""

    type: Literal["WorkflowAbandoned"] = "WorkflowAbandoned"


class WorkflowCompleted(EventBase):
    """Every step is done."""

    type: Literal["WorkflowCompleted"] = "WorkflowCompleted"
    plan_id: str
    total_steps: int
    duration_seconds: float
    final_result: FrozenValue = None


class WorkflowFailed(EventBase):
    """The workflow did not complete, and nothing of it remains outside."""

    type: Literal["WorkflowFailed"] = "WorkflowFailed"
    plan_id: str | None = None
    failed_step_id: str | None = None
    error_message: str
    compensation_executed: bool
    compensation_results: FrozenJson | None = None


class WorkflowParked(EventBase):
    """The workflow did not complete, and something of it remains that a person must decide about."""

    type: Literal["WorkflowParked"] = "WorkflowParked"
    plan_id: str | None = None
    reason: str
    parked_steps: tuple[str, ...] = ()


JournalEvent = Annotated[
    GoalReceived
    | PlanGenerated
    | ToolCallRequested
    | ToolResultReceived
    | ToolAttemptReleased
    | ToolOutcomeUnknown
    | RollbackStarted
    | StepFenced
    | CompensationStarted
    | CompensationFailed
    | CompensationCompleted
    | StepParked
    | LateEffectDetected
    | GenerationStarted
    | OperatorActed
    | StepRetried
    | StepSkipped
    | StepBorrowed
    | WorkflowAbandoned
    | WorkflowCompleted
    | WorkflowFailed
    | WorkflowParked,
    Field(discriminator="type"),
]

_EVENT: TypeAdapter[JournalEvent] = TypeAdapter(JournalEvent)


def event_from_json(text: str | bytes) -> JournalEvent:
    """Read one stored event; raises pydantic's ``ValidationError`` where it is not one."""
    return _EVENT.validate_json(text)


def event_from_dict(data: dict[str, Any]) -> JournalEvent:
    """Read one event from plain data; raises pydantic's ``ValidationError`` where it is not one."""
    return _EVENT.validate_python(data)


ENVELOPE_TYPES: dict[str, str] = {
    "GoalReceived": "orchestrator:agent.goal_received",
    "PlanGenerated": "orchestrator:agent.plan_generated",
    "ToolCallRequested": "orchestrator:agent.tool_call_requested",
    "ToolResultReceived": "orchestrator:agent.tool_result_received",
    "ToolAttemptReleased": "orchestrator:agent.tool_attempt_released",
    "ToolOutcomeUnknown": "orchestrator:agent.tool_outcome_unknown",
    "RollbackStarted": "orchestrator:workflow.rollback_started",
    "StepFenced": "orchestrator:step.fenced",
    "CompensationStarted": "orchestrator:compensation.started",
    "CompensationFailed": "orchestrator:compensation.failed",
    "CompensationCompleted": "orchestrator:compensation.completed",
    "StepParked": "orchestrator:step.parked",
    "LateEffectDetected": "orchestrator:step.late_effect_detected",
    "GenerationStarted": "orchestrator:workflow.generation_started",
    "OperatorActed": "orchestrator:operator.acted",
    "StepRetried": "orchestrator:step.retried",
    "StepSkipped": "orchestrator:step.skipped",
    "StepBorrowed": "orchestrator:step.borrowed",
    "WorkflowAbandoned": "orchestrator:workflow.abandoned",
    "WorkflowCompleted": "orchestrator:workflow.completed",
    "WorkflowFailed": "orchestrator:workflow.failed",
    "WorkflowParked": "orchestrator:workflow.parked",
}
"""The type under which each event is published on the bus."""
