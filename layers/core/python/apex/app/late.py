"""What to do about an effect that happened after its step was fenced or undone: say so, and undo it (again)."""

from typing import Any

from apex.app.facts import stamp
from apex.app.house import House
from apex.app.requests import StepRequest
from apex.app.rollback import rolling_back
from apex.errors import HeadChanged, StepChanged
from apex.ports.store import Change, EntryWrite
from apex.schema.contract import Contract
from apex.schema.events import EventBase, LateEffectDetected, ToolResultReceived
from apex.schema.ledger import EffectState, Entry, Failure, Head
from apex.workflow import entries
from apex.workflow.decisions import decide_late


def report_late(house: House, request: StepRequest, contract: Contract, attempt: Entry, result: Any) -> None:
    """Record the effect of an attempt whose step was changed meanwhile.

    An effect that came after its fence or compensation reopens the workflow, even a finished one. The janitor starts
    the rollback for it: on the event, or at the latest in its next sweep. Where the outcome was merely unknown it is
    now known; where a newer attempt speaks for the same key there is nothing to say.
    """
    while True:
        view = house.store.view(request.ref, request.step_id)
        action = decide_late(view.entry, contract, attempt.attempt_id)
        if view.entry is None or action == "nothing":
            return
        if action == "confirm":
            change = _confirmed(house, view.head, view.entry, contract, result)
        else:
            change = _late(house, view.head, view.entry, attempt, result)
        try:
            house.store.commit(change, view.head, give_up_at=request.function_deadline)
        except (HeadChanged, StepChanged):
            continue  # it changed once more: look again
        return


def _confirmed(house: House, head: Head, entry: Entry, contract: Contract, result: Any) -> Change:
    event = ToolResultReceived(
        **stamp(head, house.clock.now()),
        tool_name=contract.name,
        step_id=entry.step_id,
        success=True,
        result=result,
        retry_count=max(0, entry.attempt - 1),
        resolved_by="reply",
    )
    return Change(head.ref, (event,), entries=(EntryWrite(entry, entries.confirm(entry, result)),))


def _late(house: House, head: Head, entry: Entry, attempt: Entry, result: Any) -> Change:
    after = entries.come_late(entry, result)
    detected = LateEffectDetected(
        **stamp(head, house.clock.now()),
        step_id=entry.step_id,
        tool_name=entry.tool,
        attempt=attempt.attempt,
        found=entry.state.value,
        result=result,
    )
    events: tuple[EventBase, ...] = (detected,)
    update: dict[str, Any] = {}
    if after.state is EffectState.CONFIRMED:
        # A rollback under way may have passed this step already: the next generation walks all of them once more.
        message = f"step {entry.step_id} took effect after it was {entry.state.value}"
        failure = Failure(step_id=entry.step_id, error="LateEffect", message=message)
        begin = rolling_back(house, head, failure, "late_effect")
        events, update = (detected, *begin.events), begin.head
    return Change(head.ref, events, generation=head.generation, entries=(EntryWrite(entry, after),), head=update)
