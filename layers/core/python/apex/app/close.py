"""Ends a workflow: completed, failed with nothing left outside, or parked with a reason."""

from datetime import datetime
from typing import Any

from apex.app.facts import stamp
from apex.app.house import House
from apex.app.rollback import parked
from apex.errors import HeadChanged, StepPaused, StepUnresolved
from apex.ports.store import Change
from apex.schema.events import EventBase, WorkflowCompleted, WorkflowFailed, WorkflowParked
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Entry, Head, Mode
from apex.schema.plan import Step


def close_workflow(house: House, ref: WorkflowRef, generation: int) -> dict[str, Any]:
    """Write the last event; answers ``{status}``, also when the workflow ended before.

    Raises ``StepUnresolved`` where a step of a running workflow is not confirmed (its state machine then rolls back),
    and ``StepPaused`` where a newer generation has taken over.
    """
    head = house.store.head(ref)
    if head.mode.is_final:
        return {"status": head.mode.value}
    if head.generation != generation:
        raise StepPaused(f"generation {generation} was superseded by {head.generation}")
    entries = house.store.entries(ref)
    now = house.clock.now()
    event: EventBase
    mode = Mode.COMPLETED
    if head.mode is Mode.RUNNING:
        event = _completed(house, head, entries, now)
    else:
        event, mode = _rolled_back(head, entries, now)
    change = Change(ref, (event,), modes=frozenset({head.mode}), generation=generation, head={"mode": mode})
    try:
        house.store.commit(change, head)
    except HeadChanged as error:
        raise StepPaused(error.message) from error
    return {"status": mode.value}


def _completed(house: House, head: Head, entries: dict[str, Entry], now: datetime) -> WorkflowCompleted:
    steps = house.store.steps(head.ref)
    open_steps = [step.id for step in steps if step.id not in entries or not entries[step.id].is_done]
    if open_steps or head.plan_id is None:
        raise StepUnresolved(f"these steps are not confirmed: {', '.join(open_steps) or 'there is no plan'}")
    return WorkflowCompleted(
        **stamp(head, now),
        plan_id=head.plan_id,
        total_steps=len(steps),
        duration_seconds=round((now - head.created_at).total_seconds(), 3),
        final_result=_final_result(steps, entries),
    )


def _final_result(steps: list[Step], entries: dict[str, Entry]) -> Any:
    """The result of the step on which no other depends; of several, each under its step's id."""
    needed = {dependency for step in steps for dependency in step.depends_on}
    last = [step.id for step in steps if step.id not in needed]
    if len(last) == 1:
        return entries[last[0]].result
    return {step_id: entries[step_id].result for step_id in last}


def _rolled_back(head: Head, entries: dict[str, Entry], now: datetime) -> tuple[EventBase, Mode]:
    stuck = parked(entries)
    stuck += [entry.step_id for entry in entries.values() if entry.may_remain_outside]
    reason = head.failure.message if head.failure else "rolled back"
    if stuck:
        event = WorkflowParked(
            **stamp(head, now),
            plan_id=head.plan_id,
            reason=f"these steps need a person's decision: {', '.join(stuck)}. It failed because: {reason}",
            parked_steps=tuple(stuck),
        )
        return event, Mode.PARKED
    undone = {
        e.step_id: e.state.value for e in entries.values() if e.state in {EffectState.COMPENSATED, EffectState.FENCED}
    }
    return (
        WorkflowFailed(
            **stamp(head, now),
            plan_id=head.plan_id,
            failed_step_id=head.failure.step_id if head.failure else None,
            error_message=reason,
            compensation_executed=EffectState.COMPENSATED in {entry.state for entry in entries.values()},
            compensation_results=undone or None,
        ),
        Mode.FAILED,
    )
