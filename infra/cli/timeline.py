"""The story of a workflow as lines: one per step, one per undo. Built event by event, drawn by ``infra.cli.render``."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from apex.schema import events as e
from apex.schema.ledger import Mode


class LineState(StrEnum):
    """What a line says happened, in the words that are shown."""

    WAITING = "waiting"
    RUNNING = "running"
    TRYING_AGAIN = "trying again"
    DONE = "done"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_STARTED = "never started"
    NOT_APPLIED = "not applied"
    SKIPPED = "skipped"
    BORROWED = "borrowed"
    UNDOING = "undoing"
    UNDONE = "undone"
    PARKED = "parked"

    @property
    def is_open(self) -> bool:
        """True while something may still be at work."""
        return self in _OPEN


_OPEN = frozenset({LineState.RUNNING, LineState.TRYING_AGAIN, LineState.UNDOING})


@dataclass(slots=True)
class Line:
    """One step, or the undo of one; ``name`` is the tool's, or its compensation's."""

    step_id: str
    name: str
    state: LineState = LineState.WAITING
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    note: str = ""

    def seconds(self, now: datetime) -> float | None:
        """How long it took, or has taken until ``now``; None where it never started."""
        if self.started_at is None:
            return None
        end = self.ended_at or (now if self.state.is_open else self.started_at)
        return max(0.0, (end - self.started_at).total_seconds())

    def change(self, state: LineState, at: datetime, note: str | None = None) -> None:
        """Something happened: the line is in another state since ``at``."""
        self.state = state
        self.ended_at = None if state.is_open else at
        if note is not None:
            self.note = note


@dataclass(slots=True)
class Timeline:
    """What has happened so far. Steps are in start order, the waiting ones behind; undos in the order of undoing."""

    goal: str = ""
    accepted_at: datetime | None = None
    updated_at: datetime | None = None
    planner: str = ""
    status: Mode = Mode.RUNNING
    failure: str = ""
    undos: dict[str, Line] = field(default_factory=dict)
    _planned: dict[str, Line] = field(default_factory=dict)
    _started: list[str] = field(default_factory=list)

    @property
    def steps(self) -> list[Line]:
        """The lines of all steps."""
        waiting = [line for step_id, line in self._planned.items() if step_id not in self._started]
        return [*(self._planned[step_id] for step_id in self._started), *waiting]

    def apply(self, event: e.EventBase) -> None:
        """Add what one event tells; events come in the order of the journal."""
        self.updated_at = max(event.timestamp, self.updated_at or event.timestamp)
        self._apply_to_workflow(event)
        self._apply_to_run(event)
        self._apply_to_undo(event)

    def _apply_to_workflow(self, event: e.EventBase) -> None:
        match event:
            case e.GoalReceived():
                self.goal, self.accepted_at = event.goal, event.timestamp
            case e.PlanGenerated():
                self.planner = _planner(event)
                for step in event.steps:
                    self._planned.setdefault(step.id, Line(step.id, step.tool))
            case e.RollbackStarted():
                self.status, self.failure = Mode.ROLLING_BACK, event.error_message
            case e.GenerationStarted():
                self.status = Mode.RUNNING
            case e.WorkflowCompleted():
                self.status = Mode.COMPLETED
            case e.WorkflowFailed():
                self.status = Mode.FAILED
            case e.WorkflowParked():
                self.status, self.failure = Mode.PARKED, event.reason

    def _apply_to_run(self, event: e.EventBase) -> None:
        match event:
            case e.ToolCallRequested():
                line = self._step(event)
                line.attempts = event.attempt
                line.started_at = line.started_at or event.timestamp
                line.change(LineState.TRYING_AGAIN if event.attempt > 1 else LineState.RUNNING, event.timestamp)
                if event.step_id not in self._started:
                    self._started.append(event.step_id)
            case e.ToolResultReceived(success=True):
                asked = "found by asking the provider" if event.resolved_by == "probe" else ""
                self._step(event).change(LineState.DONE, event.timestamp, asked)
            case e.ToolResultReceived():
                self._step(event).change(LineState.REJECTED, event.timestamp, event.error or "")
            case e.ToolAttemptReleased():
                self._step(event).change(LineState.TRYING_AGAIN, event.timestamp, event.error)
            case e.ToolOutcomeUnknown():
                self._step(event).change(LineState.UNKNOWN, event.timestamp, event.error)
            case e.StepFenced():
                line = self._step(event)
                if line.state.is_open or line.state is LineState.WAITING:
                    started = line.started_at is not None
                    line.change(LineState.NOT_APPLIED if started else LineState.NOT_STARTED, event.timestamp)
            case e.LateEffectDetected():
                line = self._step(event)
                line.change(line.state, event.timestamp, f"its effect appeared late, when it was {event.found}")
            case e.StepRetried():
                self._planned[event.step_id] = Line(event.step_id, event.tool_name, note="put back to its beginning")
            case e.StepSkipped():
                self._step(event).change(LineState.SKIPPED, event.timestamp, "a person lets it count as done")
            case e.StepBorrowed():
                note = f"the effect of workflow {event.from_workflow_id}"
                self._step(event).change(LineState.BORROWED, event.timestamp, note)

    def _apply_to_undo(self, event: e.EventBase) -> None:
        match event:
            case e.CompensationStarted():
                line = self._undo(event)
                line.name = event.compensation_activity or line.name
                line.attempts = event.attempt
                line.started_at = line.started_at or event.timestamp
                line.change(LineState.UNDOING, event.timestamp)
            case e.CompensationFailed():
                self._undo(event).change(LineState.TRYING_AGAIN, event.timestamp, event.error)
            case e.CompensationCompleted():
                self._undo(event).change(LineState.UNDONE, event.timestamp, "")
            case e.StepParked():
                self._undo(event).change(LineState.PARKED, event.timestamp, event.reason)

    def _step(self, event: Any) -> Line:
        return self._planned.setdefault(event.step_id, Line(event.step_id, event.tool_name))

    def _undo(self, event: Any) -> Line:
        return self.undos.setdefault(event.step_id, Line(event.step_id, f"undo of {event.tool_name}"))


def _planner(event: e.PlanGenerated) -> str:
    words = [event.planner or "a planner"]
    if event.template_id:
        words.append(f"template {event.template_id}")
    if event.cache_hit:
        words.append("no model was asked")
    return ", ".join(words)
