"""A new workflow from an old one: what was confirmed before a step is borrowed, the rest runs anew."""

from apex.app.facts import stamp
from apex.app.house import House
from apex.app.operate import Operator
from apex.app.plans import journal_plan
from apex.app.submit import DEFAULT_DEADLINE
from apex.errors import Conflict, InvalidInput
from apex.ports import PlanProposal
from apex.ports.store import Change, EntryWrite, NewWorkflow
from apex.schema.events import EventBase, GoalReceived, OperatorActed, StepBorrowed
from apex.schema.ids import WorkflowRef, workflow_id_for
from apex.schema.ledger import EffectState, Entry, Head, Mode
from apex.schema.plan import Plan, PlannedBy, Step
from apex.schema.wire import thaw
from apex.tools.registry import Registry
from apex.workflow import entries as ledger

_BORROWS_PER_TRANSACTION = 40


def fork(
    house: House,
    registry: Registry,
    ref: WorkflowRef,
    from_step: str,
    operator: Operator,
    *,
    plan: Plan | None = None,
    key: str,
) -> Head:
    """Start a new workflow that uses the confirmed steps planned before ``from_step``, with the old plan or an edited
    one.

    The borrowed effects stay the old workflow's: the fork never undoes them. ``key`` names the fork: the same key
    again is the same fork. Raises ``InvalidInput`` where the step is not in the plan, ``PlanInvalid`` for a broken
    plan, and ``Conflict`` for a fork that exists.
    """
    old = house.store.head(ref)
    steps = house.store.steps(ref)
    borrowed = _borrowable(house, ref, steps, from_step, plan)
    head = _create(house, ref, old, key, from_step)
    proposal = PlanProposal(plan or Plan(steps=tuple(steps)), PlannedBy(planner="fork"))
    head = journal_plan(house, registry, head, proposal)
    acted = OperatorActed(
        **stamp(head, house.clock.now()), verb="fork", step_id=from_step, by=operator.by, why=operator.why
    )
    for start in range(0, max(1, len(borrowed)), _BORROWS_PER_TRANSACTION):
        part = borrowed[start : start + _BORROWS_PER_TRANSACTION]
        events: tuple[EventBase, ...] = tuple(
            StepBorrowed(
                **stamp(head, house.clock.now()),
                step_id=entry.step_id,
                tool_name=entry.tool,
                result=entry.result,
                from_workflow_id=ref.workflow_id,
            )
            for entry in part
        )
        first = (acted,) if start == 0 else ()
        change = Change(head.ref, (*first, *events), entries=tuple(EntryWrite(None, ledger.borrow(e)) for e in part))
        head = house.store.commit(change, head)
    house.executions.start_agent(head.tenant, head.workflow_id, head.generation)
    return head


def _borrowable(house: House, ref: WorkflowRef, steps: list[Step], from_step: str, plan: Plan | None) -> list[Entry]:
    """The entries of the confirmed steps before ``from_step`` that an edited plan still has, unchanged."""
    ids = [step.id for step in steps]
    if from_step not in ids:
        raise InvalidInput(f"the workflow has no step {from_step}; it has {', '.join(ids) or 'no plan'}")
    kept = {step.id: step for step in (plan.steps if plan else steps)}
    before = [step for step in steps[: ids.index(from_step)] if kept.get(step.id) == step]
    entries = house.store.entries(ref)
    done = {EffectState.CONFIRMED, EffectState.BORROWED}
    return [entries[step.id] for step in before if step.id in entries and entries[step.id].state in done]


def _create(house: House, ref: WorkflowRef, old: Head, key: str, from_step: str) -> Head:
    received = house.store.event(ref, 1)
    if not isinstance(received, GoalReceived):
        raise TypeError(f"the first event of {ref.workflow_id} is {received.type}")
    now = house.clock.now()
    context = {} if received.context is None else thaw(received.context)
    head = Head(
        tenant=ref.tenant,
        workflow_id=workflow_id_for(ref.tenant, key),
        mode=Mode.RUNNING,
        seq=1,
        generation=1,
        correlation_id=old.correlation_id,
        request_hash=f"fork:{ref.workflow_id}:{from_step}",
        created_at=now,
        deadline=now + DEFAULT_DEADLINE,
    )
    goal = GoalReceived(
        **stamp(head, now),
        goal=received.goal,
        user_id=received.user_id,
        context={**context, "forked_from": ref.workflow_id, "forked_at": from_step},
    )
    if house.store.create(NewWorkflow(head, goal)) is not None:
        raise Conflict(f"the key was used before, for workflow {head.workflow_id}", workflow_id=head.workflow_id)
    return head
