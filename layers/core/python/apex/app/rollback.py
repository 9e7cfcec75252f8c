"""Starts a rollback, lists what it walks, and parks what cannot be undone. One machine, whoever opens the door."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from apex.app.facts import stamp
from apex.app.house import House
from apex.app.plans import step_call
from apex.errors import HeadChanged, StepChanged, StepPaused
from apex.ports.store import Change, EntryWrite
from apex.schema.contract import Effect
from apex.schema.events import RollbackStarted, StepFenced, StepParked
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Entry, Failure, Head, Mode
from apex.schema.plan import Step
from apex.tools.registry import Registry
from apex.workflow import entries as ledger
from apex.workflow.transitions import Trigger, target
from apex.workflow.waves import rollback_order

Door = Literal["catch", "janitor", "operator", "late_effect"]

_ROLLING = frozenset({Mode.ROLLING_BACK})
_OPEN = frozenset({EffectState.INTENDED, EffectState.UNKNOWN})
_SETTLED = frozenset({EffectState.FENCED, EffectState.COMPENSATED, EffectState.PARKED, EffectState.BORROWED})
_FENCES_PER_TRANSACTION = 40


def start_rollback(house: House, ref: WorkflowRef, generation: int, failure: Failure, door: Door) -> dict[str, Any]:
    """Stop all steps from starting, take the next generation, and start the rollback machine for it.

    Answers ``{mode, generation, started}``. Safe to repeat: where a rollback is under way it is only made sure that its
    machine runs. A workflow that has ended is reopened by an operator only; one that a newer generation took over is
    left alone.
    """
    while True:
        head = house.store.head(ref)
        if head.mode is Mode.ROLLING_BACK:
            break
        if (head.mode.is_final and door != "operator") or (door == "catch" and head.generation != generation):
            return {"mode": head.mode.value, "generation": head.generation, "started": False}
        try:
            head = house.store.commit(rolling_back(house, head, failure, door), head)
            break
        except HeadChanged:
            continue  # somebody else changed the mode first: look again
    house.executions.start_rollback(ref.tenant, ref.workflow_id, head.generation)
    return {"mode": head.mode.value, "generation": head.generation, "started": True}


def rolling_back(house: House, head: Head, failure: Failure, door: Door) -> Change:
    """The change that lets no step start any more and takes the next generation for the rollback.

    Why a workflow does not complete is what went wrong first; a rollback begun anew does not change it.
    """
    event = RollbackStarted(
        **stamp(head, house.clock.now()),
        generation=head.generation + 1,
        door=door,
        failed_step_id=failure.step_id,
        error=failure.error,
        error_message=failure.message,
    )
    return Change(
        head.ref,
        (event,),
        modes=frozenset({head.mode}),
        generation=head.generation,
        head={
            "mode": Mode.ROLLING_BACK,
            "generation": head.generation + 1,
            "failure": head.failure or failure,
            "abandoned": False,
        },
    )


def list_steps(house: House, registry: Registry, ref: WorkflowRef, generation: int) -> dict[str, Any]:
    """Fence the steps that never started and answer the others in reverse start order, ready for the state machine."""
    head = _rolling_head(house, ref, generation)
    steps = house.store.steps(ref)
    by_id = {step.id: step for step in steps}
    entries = house.store.entries(ref)
    order = rollback_order(by_id, entries)
    unstarted = [step_id for step_id in order if _never_began(entries.get(step_id))]
    _fence(house, head, [by_id[step_id] for step_id in unstarted], entries)
    started = [by_id[step_id] for step_id in order if step_id not in unstarted]
    return {"steps": [step_call(registry, step) for step in started if _is_to_undo(registry, step, entries[step.id])]}


def _is_to_undo(registry: Registry, step: Step, entry: Entry) -> bool:
    """Skipped are steps that an earlier walk has settled, and those without an effect, unless their attempt is open and
    has to be fenced. Whether a tool that is not installed any more has an effect, nobody can say."""
    if entry.state in _SETTLED:
        return False
    tool = registry.tools.get(step.tool)
    return tool is None or tool.contract.effect is not Effect.NONE or entry.state in _OPEN


def _never_began(entry: Entry | None) -> bool:
    """Also where an operator has put the step back to its beginning."""
    return entry is None or entry.state is EffectState.NONE


def _fence(house: House, head: Head, steps: Sequence[Step], entries: Mapping[str, Entry]) -> None:
    for start in range(0, len(steps), _FENCES_PER_TRANSACTION):
        part = steps[start : start + _FENCES_PER_TRANSACTION]
        change = Change(
            head.ref,
            tuple(StepFenced(**stamp(head, house.clock.now()), step_id=step.id, tool_name=step.tool) for step in part),
            modes=_ROLLING,
            generation=head.generation,
            entries=tuple(_fencing(entries.get(step.id), step) for step in part),
        )
        head = _commit(house, change, head)


def _fencing(entry: Entry | None, step: Step) -> EntryWrite:
    return EntryWrite(entry, ledger.fence(entry, step.id, step.tool))


def park_step(house: House, ref: WorkflowRef, generation: int, step_id: str, reason: str) -> dict[str, Any]:
    """Park a step whose undo could not be carried out; answers ``{step_id, outcome}``. Rollback goes on with the
    older steps."""
    head = _rolling_head(house, ref, generation)
    entry = house.store.entries(ref, [step_id]).get(step_id)
    if entry is None or target(entry.state, Trigger.PARK) is None:
        return {"step_id": step_id, "outcome": "unchanged"}
    event = StepParked(**stamp(head, house.clock.now()), step_id=step_id, tool_name=entry.tool, reason=reason)
    write = EntryWrite(entry, ledger.park(entry, reason))
    _commit(house, Change(ref, (event,), modes=_ROLLING, generation=generation, entries=(write,)), head)
    return {"step_id": step_id, "outcome": "parked"}


def _commit(house: House, change: Change, head: Head) -> Head:
    try:
        return house.store.commit(change, head)
    except (HeadChanged, StepChanged) as error:
        raise StepPaused(f"the rollback was overtaken: {error.message}") from error


def _rolling_head(house: House, ref: WorkflowRef, generation: int) -> Head:
    head = house.store.head(ref)
    if head.mode is not Mode.ROLLING_BACK or head.generation != generation:
        raise StepPaused(
            f"the workflow is {head.mode.value} in generation {head.generation}, this rollback is of {generation}"
        )
    return head


def parked(entries: dict[str, Entry]) -> list[str]:
    """The parked steps, in start order."""
    found = [entry for entry in entries.values() if entry.state is EffectState.PARKED]
    return [entry.step_id for entry in sorted(found, key=lambda entry: entry.started_seq)]
