"""Sees that every workflow ends, also when its execution was stopped, lost or never started.

Two ways in: Step Functions says that an execution ended badly, and a sweep looks at every open workflow once a
minute. Both only look at the head, and everything they start can be started twice, so it does not matter which comes
first.
"""

import json
from datetime import timedelta
from typing import Any, Literal

from apex.app.facts import stamp
from apex.app.house import House
from apex.app.rollback import start_rollback
from apex.errors import HeadChanged, InvalidInput
from apex.ports.store import Change
from apex.schema.events import ENVELOPE_TYPES, RollbackStarted
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Failure, Head, Mode

UNSTARTED_AFTER = timedelta(seconds=60)
"""A workflow accepted this long ago without an execution has lost its submitter."""

Action = Literal["nothing", "started", "rollback"]


def execution_ended(house: House, ref: WorkflowRef, generation: int, status: str, *, rollback: bool) -> Action:
    """An execution of either machine ended as FAILED, TIMED_OUT or ABORTED. Answers what was done about it.

    An execution that handed over properly left the head in a later generation or another mode, so there is nothing to
    do.
    """
    head = house.store.head(ref)
    if head.generation != generation or head.mode.is_final:
        return "nothing"
    if not rollback and head.mode is Mode.RUNNING:
        failure = Failure(
            error=f"Execution.{status}", message=f"the execution of generation {generation} ended as {status}"
        )
        start_rollback(house, ref, generation, failure, "janitor")
        return "rollback"
    if rollback and head.mode is Mode.ROLLING_BACK:
        return _roll_back_anew(house, head, f"the rollback of generation {generation} ended as {status}")
    return "nothing"


def sweep(house: House, *, limit: int = 200) -> dict[str, Action]:
    """Look at the open workflows, oldest first; answers what was done, by workflow id (those left alone are not
    listed)."""
    done: dict[str, Action] = {}
    for ref in house.store.open_workflows(limit=limit):
        action = look_after(house, ref)
        if action != "nothing":
            done[ref.workflow_id] = action
    return done


def look_after(house: House, ref: WorkflowRef, *, unstarted_after: timedelta = UNSTARTED_AFTER) -> Action:
    """Bring one workflow on: start what was never started, roll back what is past its deadline or has lost its
    execution."""
    head = house.store.head(ref)
    if head.mode is Mode.ROLLING_BACK:
        return _look_after_rollback(house, head)
    if head.mode.is_final:
        return "nothing"
    now = house.clock.now()
    if now > head.deadline:
        failure = Failure(error="DeadlinePassed", message=f"the workflow was to end by {head.deadline.isoformat()}")
        start_rollback(house, ref, head.generation, failure, "janitor")
        return "rollback"
    if head.mode is Mode.PAUSED:
        return "nothing"
    status = house.executions.agent_status(ref.workflow_id, head.generation)
    if status is None and now >= head.created_at + unstarted_after:
        house.executions.start_agent(ref.tenant, ref.workflow_id, head.generation)
        return "started"
    if status in (None, "RUNNING"):
        return "nothing"
    return execution_ended(house, ref, head.generation, str(status), rollback=False)


def _look_after_rollback(house: House, head: Head) -> Action:
    status = house.executions.rollback_status(head.workflow_id, head.generation)
    if status == "RUNNING":
        return "nothing"
    if status is None:
        house.executions.start_rollback(head.tenant, head.workflow_id, head.generation)
        return "started"
    return _roll_back_anew(house, head, f"the rollback ended as {status} without closing the workflow")


def _roll_back_anew(house: House, head: Head, why: str) -> Action:
    """The walk is started once more, in the next generation, because the old execution's name cannot be used again."""
    failure = head.failure or Failure(error="RollbackLost", message=why)
    event = RollbackStarted(
        **stamp(head, house.clock.now()),
        generation=head.generation + 1,
        door="janitor",
        failed_step_id=failure.step_id,
        error=failure.error,
        error_message=f"{failure.message} ({why})" if head.failure else why,
    )
    change = Change(
        head.ref,
        (event,),
        modes=frozenset({Mode.ROLLING_BACK}),
        generation=head.generation,
        head={"generation": head.generation + 1},
    )
    try:
        head = house.store.commit(change, head)
    except HeadChanged:
        return "nothing"  # somebody else was first
    house.executions.start_rollback(head.tenant, head.workflow_id, head.generation)
    return "rollback"


def attend(house: House, event: dict[str, Any]) -> dict[str, Action]:
    """Do what an EventBridge event asks for: an execution that ended, a late effect, or the time for a sweep.

    Answers what was done, by workflow id. Raises ``InvalidInput`` for an event of another kind.
    """
    kind, detail = event.get("detail-type"), event.get("detail", {})
    if kind == "Scheduled Event":
        return sweep(house)
    if kind == ENVELOPE_TYPES["LateEffectDetected"]:
        ref = WorkflowRef(detail["tenantId"], detail["payload"]["workflow_id"])
        return _done(ref, look_after(house, ref))
    if kind == "Step Functions Execution Status Change":
        given = json.loads(detail["input"])
        ref = WorkflowRef(given["tenant"], given["workflow_id"])
        is_rollback = detail["name"].endswith("-rb")
        action = execution_ended(house, ref, given["generation"], detail["status"], rollback=is_rollback)
        return _done(ref, action)
    raise InvalidInput(f"the janitor does not know events of the kind {kind!r}")


def _done(ref: WorkflowRef, action: Action) -> dict[str, Action]:
    return {} if action == "nothing" else {ref.workflow_id: action}
