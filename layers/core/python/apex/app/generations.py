"""Hands a workflow to a fresh execution: a long plan before its history is full, a stopped one when somebody resumes
it."""

from typing import Any

from apex.app.facts import stamp
from apex.app.house import House
from apex.errors import HeadChanged, StepPaused
from apex.ports.store import Change
from apex.schema.events import GenerationStarted
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Mode

_RUNNING = frozenset({Mode.RUNNING})


def hand_over(house: House, ref: WorkflowRef, generation: int) -> dict[str, Any]:
    """Start the next generation of a running workflow; answers ``{generation}``. Repeating it starts the same one.

    Raises ``StepPaused`` where the workflow does not run, or runs in a later generation than the next.
    """
    head = house.store.head(ref)
    if head.mode is Mode.RUNNING and head.generation == generation:
        event = GenerationStarted(**stamp(head, house.clock.now()), generation=generation + 1, reason="handover")
        change = Change(ref, (event,), modes=_RUNNING, generation=generation, head={"generation": generation + 1})
        try:
            head = house.store.commit(change, head)
        except HeadChanged as error:
            raise StepPaused(error.message) from error
    if head.mode is not Mode.RUNNING or head.generation != generation + 1:
        raise StepPaused(f"the workflow is {head.mode.value} in generation {head.generation}")
    house.executions.start_agent(ref.tenant, ref.workflow_id, head.generation)
    return {"generation": head.generation}
