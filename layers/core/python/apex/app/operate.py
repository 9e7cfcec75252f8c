"""What an operator may do with a workflow that needs a person. Each verb is journaled with who and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from apex.app.facts import stamp
from apex.app.house import House
from apex.app.rollback import rolling_back
from apex.errors import Conflict, HeadChanged, InvalidInput, StepChanged
from apex.ports.store import Change, EntryWrite
from apex.schema.events import (
    EventBase,
    GenerationStarted,
    OperatorActed,
    StepRetried,
    StepSkipped,
    ToolResultReceived,
    WorkflowAbandoned,
)
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Entry, Failure, Head, Mode
from apex.workflow import entries
from apex.workflow.transitions import Trigger, target

_STOPPED = frozenset({Mode.PAUSED, Mode.PARKED, Mode.FAILED})
_RESUMED_DEADLINE = timedelta(hours=1)
_STEPS_PER_TRANSACTION = 40


@dataclass(frozen=True, slots=True)
class Operator:
    """Who decides, and why; both are kept in the journal."""

    by: str
    why: str

    def __post_init__(self) -> None:
        """Raises ``InvalidInput`` where either is empty: a decision without a reason cannot be followed later."""
        if not self.by.strip() or not self.why.strip():
            raise InvalidInput("say who decides (by) and for what reason (why)")


def retry_step(house: House, ref: WorkflowRef, step_id: str, operator: Operator) -> Head:
    """Put an undone, fenced or rejected step back to its beginning, as a new effect under a new key. ``resume`` then
    runs it."""
    head, entry = _stopped(house, ref, step_id, Trigger.RETRY)
    after = entries.retry(_present(entry, step_id))
    event = StepRetried(**_stamp(house, head), step_id=step_id, tool_name=after.tool, epoch=after.epoch)
    return _decide(house, head, "retry-step", operator, step_id, [EntryWrite(entry, after)], [event])


def skip_step(house: House, ref: WorkflowRef, step_id: str, operator: Operator) -> Head:
    """Let a step count as done without running it. Steps that refer to its result are refused when they run."""
    head, entry = _stopped(house, ref, step_id, Trigger.SKIP)
    after = entries.skip(entry, step_id, _tool_of(house, ref, step_id))
    event = StepSkipped(**_stamp(house, head), step_id=step_id, tool_name=after.tool)
    return _decide(house, head, "skip-step", operator, step_id, [EntryWrite(entry, after)], [event])


def mark_applied(
    house: House, ref: WorkflowRef, step_id: str, operator: Operator, result: dict[str, Any] | None = None
) -> Head:
    """Say that the effect of an unknown or parked step exists, with its result where it is known."""
    head, entry = _stopped(house, ref, step_id, Trigger.MARK_APPLIED)
    after = entries.mark_applied(_present(entry, step_id), result)
    event = _result(house, head, after, success=True)
    return _decide(house, head, "mark-applied", operator, step_id, [EntryWrite(entry, after)], [event])


def mark_not_applied(house: House, ref: WorkflowRef, step_id: str, operator: Operator) -> Head:
    """Say that the effect of an unknown or parked step does not exist."""
    head, entry = _stopped(house, ref, step_id, Trigger.MARK_NOT_APPLIED)
    after = entries.mark_not_applied(_present(entry, step_id), operator.why)
    event = _result(house, head, after, success=False)
    return _decide(house, head, "mark-not-applied", operator, step_id, [EntryWrite(entry, after)], [event])


def compensate(house: House, ref: WorkflowRef, operator: Operator) -> Head:
    """Undo everything that the workflow did, now. Starts the rollback machine.

    A parked step is tried once more, unless nobody knows whether its effect exists: that has to be marked first.
    """
    head = house.store.head(ref)
    if head.mode is Mode.ROLLING_BACK:
        raise Conflict("the workflow is rolling back already")
    again = [entry for entry in house.store.entries(ref).values() if _can_undo_again(entry)]
    marked = [EntryWrite(entry, entries.mark_applied(entry, None)) for entry in again]
    while len(marked) > _STEPS_PER_TRANSACTION:
        part, marked = marked[:_STEPS_PER_TRANSACTION], marked[_STEPS_PER_TRANSACTION:]
        head = _decide(house, head, "compensate", operator, None, part, _found_applied(house, head, part))
    failure = Failure(error="Operator", message=f"{operator.by}: {operator.why}")
    begin = rolling_back(house, head, failure, "operator")
    events = (*_found_applied(house, head, marked), *begin.events)
    head = _decide(house, head, "compensate", operator, None, marked, events, update=begin.head)
    house.executions.start_rollback(ref.tenant, ref.workflow_id, head.generation)
    return head


def _can_undo_again(entry: Entry) -> bool:
    """The effect was known to exist, or its undo is safe either way: then it was tried."""
    return entry.state is EffectState.PARKED and (not entry.in_doubt or entry.undo_attempt > 0)


def _found_applied(house: House, head: Head, writes: Sequence[EntryWrite]) -> tuple[EventBase, ...]:
    return tuple(_result(house, head, write.after, success=True) for write in writes)


def abandon(house: House, ref: WorkflowRef, operator: Operator) -> Head:
    """Accept what is left of a parked workflow; it stays PARKED and is not asked about any more."""
    head = house.store.head(ref)
    if head.mode is not Mode.PARKED:
        raise Conflict(f"only a parked workflow can be abandoned, this one is {head.mode.value}")
    event = WorkflowAbandoned(**_stamp(house, head))
    return _decide(house, head, "abandon", operator, None, [], [event], update={"abandoned": True})


def resume(house: House, ref: WorkflowRef, operator: Operator) -> Head:
    """Go on with a stopped workflow in a fresh execution. What is done is not repeated.

    Raises ``Conflict`` naming the steps that must be retried, skipped or marked first.
    """
    head = house.store.head(ref)
    if head.mode not in _STOPPED:
        raise Conflict(f"the workflow is {head.mode.value}; only a paused, failed or parked one can be resumed")
    if head.plan_id is None:
        raise Conflict("the workflow has no plan to go on with; submit the goal again under a new key")
    stuck = [
        entry.step_id
        for entry in house.store.entries(ref).values()
        if not entry.is_done and entry.state is not EffectState.NONE
    ]
    if stuck:
        raise Conflict(f"retry, skip or mark these steps first: {', '.join(sorted(stuck))}", steps=sorted(stuck))
    generation = head.generation + 1
    event = GenerationStarted(**_stamp(house, head), generation=generation, reason="resumed")
    update = {
        "mode": Mode.RUNNING,
        "generation": generation,
        "failure": None,
        "abandoned": False,
        "deadline": house.clock.now() + _RESUMED_DEADLINE,
    }
    head = _decide(house, head, "resume", operator, None, [], [event], update=update)
    house.executions.start_agent(ref.tenant, ref.workflow_id, generation)
    return head


def _stopped(house: House, ref: WorkflowRef, step_id: str, trigger: Trigger) -> tuple[Head, Entry | None]:
    """The head and the step's entry, where the workflow stands still and the table lists the change."""
    view = house.store.view(ref, step_id)
    if view.spec is None:
        raise InvalidInput(f"the workflow has no step {step_id}")
    if view.head.mode not in _STOPPED:
        raise Conflict(
            f"the workflow is {view.head.mode.value}; an operator decides about paused, failed and parked ones"
        )
    state = view.entry.state if view.entry else EffectState.NONE
    if target(state, trigger) is None:
        raise Conflict(
            f"step {step_id} is {state.value}; that cannot be decided about it", step_id=step_id, state=state.value
        )
    return view.head, view.entry


def _present(entry: Entry | None, step_id: str) -> Entry:
    if entry is None:
        raise Conflict(f"step {step_id} never started")
    return entry


def _tool_of(house: House, ref: WorkflowRef, step_id: str) -> str:
    spec = house.store.view(ref, step_id).spec
    return spec.tool if spec else ""


def _result(house: House, head: Head, entry: Entry, *, success: bool) -> ToolResultReceived:
    return ToolResultReceived(
        **_stamp(house, head),
        tool_name=entry.tool,
        step_id=entry.step_id,
        success=success,
        result=entry.result if success else None,
        error=None if success else entry.error,
        retry_count=max(0, entry.attempt - 1),
        resolved_by="operator",
    )


def _decide(
    house: House,
    head: Head,
    verb: str,
    operator: Operator,
    step_id: str | None,
    writes: Sequence[EntryWrite],
    events: Sequence[EventBase],
    *,
    update: dict[str, Any] | None = None,
) -> Head:
    """Journal who decided what and why, with what follows from it, in one transaction."""
    acted = OperatorActed(**_stamp(house, head), verb=verb, step_id=step_id, by=operator.by, why=operator.why)
    change = Change(
        head.ref,
        (acted, *events),
        modes=frozenset({head.mode}),
        generation=head.generation,
        entries=tuple(writes),
        head=update or {},
    )
    try:
        return house.store.commit(change, head)
    except (HeadChanged, StepChanged) as error:
        raise Conflict(f"the workflow changed meanwhile: {error.message}") from error


def _stamp(house: House, head: Head) -> dict[str, Any]:
    return stamp(head, house.clock.now())
