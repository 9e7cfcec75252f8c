"""The state of a workflow as a pure fold over its journal.

Nothing is kept that cannot be computed again: folding the same events always gives the same state, every beginning of a
journal folds, and folding on from a state gives what folding everything would have given. What the fold says about
a step's effect is what the effect ledger says, because each change of the ledger is written with its event.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from apex.errors import JournalCorrupt
from apex.schema.events import (
    CompensationCompleted,
    CompensationFailed,
    CompensationStarted,
    EventBase,
    GenerationStarted,
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
    WorkflowAbandoned,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowParked,
)
from apex.schema.ledger import EffectState, Failure, Mode
from apex.schema.plan import Step
from apex.schema.wire import FrozenJson, FrozenValue, RecordModel


class StepState(RecordModel):
    """What the journal tells about one step. Times are those of the events; absent means that it has not happened."""

    step_id: str
    tool: str
    depends_on: tuple[str, ...] = ()
    state: EffectState = EffectState.NONE
    started_seq: int = 0
    """Sequence number of the first intent; 0 = never started."""
    attempts: int = 0
    undo_attempts: int = 0
    input: FrozenValue = None
    """The resolved input of the newest attempt."""
    result: FrozenValue = None
    error: str | None = None
    skipped: bool = False
    """An operator lets it count as done."""
    resolved_by: str | None = None
    """How the outcome became known: by the reply, a probe or an operator."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    """When the outcome of the run became known."""
    undo_started_at: datetime | None = None
    undo_ended_at: datetime | None = None
    """When the step was compensated, fenced or parked."""

    @property
    def duration(self) -> timedelta | None:
        """From the first intent until the outcome was known."""
        return _between(self.started_at, self.ended_at)

    @property
    def undo_duration(self) -> timedelta | None:
        """From the first undo until the effect was gone, or parked."""
        return _between(self.undo_started_at, self.undo_ended_at)


class WorkflowState(RecordModel):
    """What the journal tells about a workflow. The default one is that of an empty journal: ``seq`` is 0."""

    tenant: str = ""
    workflow_id: str = ""
    correlation_id: str = ""
    seq: int = 0
    status: Mode = Mode.RUNNING
    generation: int = 1
    goal: str = ""
    user_id: str = ""
    context: FrozenJson | None = None
    plan_id: str | None = None
    plan: tuple[Step, ...] = ()
    """The steps of all revisions of the plan, in the order in which they were planned."""
    planner: str | None = None
    cache_hit: bool = False
    template_id: str | None = None
    steps: tuple[StepState, ...] = ()
    failure: Failure | None = None
    final_result: FrozenValue = None
    abandoned: bool = False
    """A person has accepted what is left of it."""
    accepted_at: datetime | None = None
    planned_at: datetime | None = None
    ended_at: datetime | None = None
    """When it ended; absent again once a rollback has reopened it."""
    updated_at: datetime | None = None

    def step(self, step_id: str) -> StepState:
        """The state of one step; raises ``KeyError`` where neither plan nor journal knows it."""
        for step in self.steps:
            if step.step_id == step_id:
                return step
        raise KeyError(step_id)

    @property
    def parked_steps(self) -> tuple[str, ...]:
        """Steps whose effect a person must decide about."""
        return tuple(step.step_id for step in self.steps if step.state is EffectState.PARKED)

    @property
    def duration(self) -> timedelta | None:
        """From acceptance until the end; until the newest event while it goes on."""
        return _between(self.accepted_at, self.ended_at or self.updated_at)


def fold(events: Iterable[EventBase], state: WorkflowState | None = None) -> WorkflowState:
    """The state after these events, starting from ``state`` (by default from nothing).

    Raises ``JournalCorrupt`` where an event does not follow: a gap or repetition in ``seq``, a journal that does not
    begin with the goal, a second goal, or an event of another workflow or tenant.
    """
    before = state or WorkflowState()
    now: dict[str, Any] = {name: getattr(before, name) for name in WorkflowState.model_fields}
    steps = {step.step_id: step for step in before.steps}
    for event in events:
        _check_follows(event, now)
        now.update(_changes(event, now))
        now.update(seq=event.seq, updated_at=event.timestamp)
        if isinstance(event, PlanGenerated):
            steps.update({step.id: _planned(step, steps.get(step.id)) for step in event.steps})
        step_id = getattr(event, "step_id", None)
        if step_id is not None:
            step = steps.get(step_id) or StepState(step_id=step_id, tool=getattr(event, "tool_name", ""))
            steps[step_id] = step.model_copy(update=_step_changes(event, step))
    return before.model_copy(update={**now, "steps": tuple(steps.values())})


def _check_follows(event: EventBase, now: dict[str, Any]) -> None:
    last = now["seq"]
    if event.seq != last + 1:
        what = "there is a gap" if event.seq > last else "it came before"
        raise JournalCorrupt(f"event {event.seq} follows event {last}: {what}", seq=event.seq, after=last)
    if isinstance(event, GoalReceived) != (last == 0):
        problem = "is a second goal" if last else f"is {type(event).__name__}, and not the goal"
        raise JournalCorrupt(f"event {event.seq} {problem}", seq=event.seq)
    if last and (event.tenant_id, event.workflow_id) != (now["tenant"], now["workflow_id"]):
        raise JournalCorrupt(f"event {event.seq} belongs to another workflow", seq=event.seq)


def _changes(event: EventBase, now: dict[str, Any]) -> dict[str, Any]:
    """What an event changes about the workflow as a whole."""
    match event:
        case GoalReceived():
            return {
                "tenant": event.tenant_id,
                "workflow_id": event.workflow_id,
                "correlation_id": event.correlation_id,
                "goal": event.goal,
                "user_id": event.user_id,
                "context": event.context,
                "accepted_at": event.timestamp,
            }
        case PlanGenerated():
            known = {step.id for step in event.steps}
            return {
                "plan_id": event.plan_id,
                "plan": tuple(step for step in now["plan"] if step.id not in known) + event.steps,
                "planner": event.planner,
                "cache_hit": event.cache_hit,
                "template_id": event.template_id,
                "planned_at": event.timestamp,
            }
        case RollbackStarted():
            failure = Failure(step_id=event.failed_step_id, error=event.error, message=event.error_message)
            return {
                "status": Mode.ROLLING_BACK,
                "generation": event.generation,
                # What went wrong first is why it does not complete; a rollback begun anew does not change that.
                "failure": now["failure"] or failure,
                "abandoned": False,
                "final_result": None,
                "ended_at": None,
            }
        case GenerationStarted():
            fresh = {"status": Mode.RUNNING, "generation": event.generation, "ended_at": None}
            return {**fresh, "failure": None, "abandoned": False}
        case WorkflowAbandoned():
            return {"abandoned": True}
        case WorkflowCompleted() | WorkflowFailed() | WorkflowParked():
            return {"ended_at": event.timestamp, **_ending(event, now["failure"])}
    return {}


def _ending(event: WorkflowCompleted | WorkflowFailed | WorkflowParked, known: Failure | None) -> dict[str, Any]:
    """How it ended; what made it fail was known before where a rollback preceded."""
    match event:
        case WorkflowCompleted():
            return {"status": Mode.COMPLETED, "final_result": event.final_result}
        case WorkflowFailed():
            failure = Failure(step_id=event.failed_step_id, error="WorkflowFailed", message=event.error_message)
            return {"status": Mode.FAILED, "failure": known or failure}
        case WorkflowParked():
            failure = Failure(error="WorkflowParked", message=event.reason)
            return {"status": Mode.PARKED, "failure": known or failure}


def _planned(spec: Step, known: StepState | None) -> StepState:
    planned = {"tool": spec.tool, "depends_on": spec.depends_on}
    return known.model_copy(update=planned) if known else StepState(step_id=spec.id, **planned)


def _step_changes(event: EventBase, step: StepState) -> dict[str, Any]:
    """What an event changes about its step."""
    return _run_changes(event, step) or _undo_changes(event, step) or _operator_changes(event, step)


def _run_changes(event: EventBase, step: StepState) -> dict[str, Any]:
    match event:
        case ToolCallRequested():
            return {
                "state": EffectState.INTENDED,
                "attempts": event.attempt,
                "input": event.tool_input,
                "error": None,
                "started_seq": step.started_seq or event.seq,
                "started_at": step.started_at or event.timestamp,
            }
        case ToolResultReceived():
            return {
                "state": EffectState.CONFIRMED if event.success else EffectState.REJECTED,
                "result": event.result,
                "error": event.error,
                "resolved_by": event.resolved_by,
                "ended_at": event.timestamp,
                # What a person decides begins a new round of undoing.
                "undo_attempts": 0 if event.resolved_by == "operator" and event.success else step.undo_attempts,
            }
        case ToolAttemptReleased():
            return {"state": EffectState.INTENDED, "error": event.error}
        case ToolOutcomeUnknown():
            return {"state": EffectState.UNKNOWN, "error": event.error}
    return {}


def _undo_changes(event: EventBase, step: StepState) -> dict[str, Any]:
    match event:
        case StepFenced():
            return {"state": EffectState.FENCED, "undo_ended_at": event.timestamp}
        case CompensationStarted():
            started_at = step.undo_started_at or event.timestamp
            return {"state": EffectState.UNDOING, "undo_attempts": event.attempt, "undo_started_at": started_at}
        case CompensationFailed():
            return {"state": EffectState.UNDOING, "error": event.error}
        case CompensationCompleted():
            return {"state": EffectState.COMPENSATED, "error": None, "undo_ended_at": event.timestamp}
        case StepParked():
            return {"state": EffectState.PARKED, "error": event.reason, "undo_ended_at": event.timestamp}
    return {}


def _operator_changes(event: EventBase, step: StepState) -> dict[str, Any]:
    match event:
        case LateEffectDetected():
            if step.state is EffectState.PARKED:
                return {"result": event.result if step.result is None else step.result}
            return {
                "state": EffectState.CONFIRMED,
                "result": event.result,
                "error": None,
                "undo_attempts": 0,
                "undo_ended_at": None,
            }
        case StepRetried():
            fresh = StepState(step_id=step.step_id, tool=step.tool, depends_on=step.depends_on)
            return {name: getattr(fresh, name) for name in StepState.model_fields}
        case StepSkipped():
            undone = step.state is EffectState.COMPENSATED
            return {"state": EffectState.COMPENSATED if undone else EffectState.FENCED, "skipped": True}
        case StepBorrowed():
            return {"state": EffectState.BORROWED, "result": event.result, "ended_at": event.timestamp}
    return {}


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    return None if start is None or end is None else end - start
