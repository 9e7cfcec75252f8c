"""What the use cases need from the outside, as protocols. Each has a conformance suite that every adapter passes."""

from apex.ports.instances import DeadLetters, WorkflowInstances
from apex.ports.planning import PlanIndex, Planner, PlanProposal, PlanRequest
from apex.ports.store import Change, EntryWrite, EventDraft, RecordWrite, StepView, WorkflowStore
from apex.ports.surroundings import Clock, Executions

__all__ = [
    "Change",
    "Clock",
    "DeadLetters",
    "EntryWrite",
    "EventDraft",
    "Executions",
    "PlanIndex",
    "PlanProposal",
    "PlanRequest",
    "Planner",
    "RecordWrite",
    "StepView",
    "WorkflowInstances",
    "WorkflowStore",
]
