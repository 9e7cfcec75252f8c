"""What the read model keeps of a workflow: how it stands, without what its steps were given and answered.

Leaving that out loses nothing that later events need: folding on from what is kept gives what keeping the whole
state's fold gives. So a row is brought up to date by the new events alone.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from apex.schema.events import EventBase
from apex.schema.ledger import Failure, Mode
from apex.schema.plan import Step
from apex.schema.wire import RecordModel
from apex.workflow.fold import StepState, WorkflowState, fold

LONGEST_GOAL = 200
"""Characters of the goal that are kept."""


class WorkflowInstance(RecordModel):
    """One workflow as lists and dashboards show it. ``seq`` is the journal event up to which it is told."""

    tenant: str
    workflow_id: str
    user_id: str
    goal: str
    status: Mode
    seq: int
    generation: int
    plan: tuple[Step, ...]
    """The steps with their tools and dependencies; inputs are left out."""
    steps: tuple[StepState, ...]
    """How each step stands, with its attempts and times; inputs and results are left out."""
    step_counts: dict[str, int]
    """How many steps are in which state of the effect ledger."""
    parked_steps: tuple[str, ...]
    failure: Failure | None = None
    abandoned: bool = False
    accepted_at: datetime | None = None
    planned_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None


def fold_summary(events: Iterable[EventBase], kept: WorkflowState | None = None) -> WorkflowState:
    """The summary after these events, starting from the summary that is kept; raises ``JournalCorrupt`` as ``fold``
    does."""
    return summary(fold(events, kept))


def summary(state: WorkflowState) -> WorkflowState:
    """The state without inputs, results and context, and with only the beginning of the goal."""
    return state.model_copy(
        update={
            "goal": state.goal[:LONGEST_GOAL],
            "context": None,
            "final_result": None,
            "plan": tuple(step.model_copy(update={"input": {}}) for step in state.plan),
            "steps": tuple(step.model_copy(update={"input": None, "result": None}) for step in state.steps),
        }
    )


def instance_of(state: WorkflowState) -> WorkflowInstance:
    """The row of the read model that a summary makes."""
    return WorkflowInstance(
        tenant=state.tenant,
        workflow_id=state.workflow_id,
        user_id=state.user_id,
        goal=state.goal,
        status=state.status,
        seq=state.seq,
        generation=state.generation,
        plan=state.plan,
        steps=state.steps,
        step_counts=dict(sorted(Counter(step.state.value for step in state.steps).items())),
        parked_steps=state.parked_steps,
        failure=state.failure,
        abandoned=state.abandoned,
        accepted_at=state.accepted_at,
        planned_at=state.planned_at,
        ended_at=state.ended_at,
        updated_at=state.updated_at,
    )
