"""A new workflow from an old one: what was confirmed before a step is borrowed, the rest runs anew."""

import hashlib
import json

from apex.app.facts import stamp
from apex.app.house import House
from apex.app.operate import Operator
from apex.app.plans import journal_plan
from apex.app.submit import DEFAULT_DEADLINE
from apex.errors import Conflict, InvalidInput, KeyReused
from apex.policy.lanes import assess
from apex.ports import PlanProposal
from apex.ports.store import Change, EntryWrite, NewWorkflow
from apex.schema.events import EventBase, GoalReceived, OperatorActed, StepBorrowed
from apex.schema.ids import WorkflowRef, workflow_id_for
from apex.schema.ledger import EffectState, Entry, Head, Mode
from apex.schema.plan import Plan, PlannedBy, Step
from apex.schema.wire import thaw
from apex.tools.registry import Registry
from apex.workflow import entries as ledger
from apex.workflow.validation import validate_plan
from apex.workflow.waves import waves

_BORROWS_PER_TRANSACTION = 40
_DONE = frozenset({EffectState.CONFIRMED, EffectState.BORROWED})
_RUNNING = frozenset({Mode.RUNNING})


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
    again is the same fork, as it stands. Raises ``InvalidInput`` where the step is not in the plan, ``PlanInvalid`` for
    a broken plan, ``KeyReused`` for a key that named something else, and ``Conflict`` while the old one is at work.
    """
    old = house.store.head(ref)
    if not old.mode.is_final:
        raise Conflict(f"the workflow is {old.mode.value}; it can be forked once it has ended")
    steps = house.store.steps(ref)
    borrowed = _borrowable(house, ref, steps, from_step, plan)
    wanted = plan or Plan(steps=tuple(steps))
    validate_plan(wanted, registry.contracts, policy=assess)
    head = _create(house, ref, old, key, from_step, wanted)
    if head.forking:
        if head.plan_id is None:
            head = journal_plan(house, registry, head, PlanProposal(wanted, PlannedBy(planner="fork")))
        head = _borrow(house, ref, head, from_step, operator, borrowed)
    if head.mode is Mode.RUNNING:
        house.executions.start_agent(head.tenant, head.workflow_id, head.generation)
    return head


def _borrow(
    house: House, ref: WorkflowRef, head: Head, from_step: str, operator: Operator, borrowed: list[Entry]
) -> Head:
    """Write who forked and what is borrowed; with the last of it the fork is complete and may run."""
    there = house.store.entries(head.ref)
    left = [entry for entry in borrowed if entry.step_id not in there]
    now = house.clock.now()
    acted = OperatorActed(**stamp(head, now), verb="fork", step_id=from_step, by=operator.by, why=operator.why)
    events: list[EventBase] = [] if there else [acted]
    while True:
        part, left = left[:_BORROWS_PER_TRANSACTION], left[_BORROWS_PER_TRANSACTION:]
        events += [
            StepBorrowed(
                **stamp(head, now),
                step_id=entry.step_id,
                tool_name=entry.tool,
                result=entry.result,
                from_workflow_id=ref.workflow_id,
            )
            for entry in part
        ]
        writes = tuple(EntryWrite(None, ledger.borrow(entry)) for entry in part)
        head = house.store.commit(
            Change(head.ref, tuple(events), modes=_RUNNING, entries=writes, head={"forking": bool(left)}), head
        )
        events = []
        if not left:
            return head


def _borrowable(house: House, ref: WorkflowRef, steps: list[Step], from_step: str, plan: Plan | None) -> list[Entry]:
    """The entries of the confirmed steps before ``from_step`` that the plan still has, unchanged, as are those on whose
    results they depend."""
    ids = [step.id for step in steps]
    if from_step not in ids:
        raise InvalidInput(f"the workflow has no step {from_step}; it has {', '.join(ids) or 'no plan'}")
    kept = {step.id: step for step in (plan.steps if plan else steps)}
    entries = house.store.entries(ref)
    before = set(ids[: ids.index(from_step)])
    found: dict[str, Entry] = {}
    for step in (step for wave in waves(steps) for step in wave):
        entry = entries.get(step.id)
        if entry is None or entry.state not in _DONE or step.id not in before or kept.get(step.id) != step:
            continue
        if all(dependency in found for dependency in step.depends_on):
            found[step.id] = entry
    return list(found.values())


def _create(house: House, ref: WorkflowRef, old: Head, key: str, from_step: str, plan: Plan) -> Head:
    """The head of the fork, which does not run before what it borrows is written; or of the one that has this key."""
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
        request_hash=_request_hash(ref, from_step, plan),
        created_at=now,
        deadline=now + DEFAULT_DEADLINE,
        forking=True,
    )
    goal = GoalReceived(
        **stamp(head, now),
        goal=received.goal,
        user_id=received.user_id,
        context={**context, "forked_from": ref.workflow_id, "forked_at": from_step},
    )
    stored = house.store.create(NewWorkflow(head, goal))
    if stored is not None and stored.request_hash != head.request_hash:
        raise KeyReused(f"the key was used before, for workflow {head.workflow_id}", workflow_id=head.workflow_id)
    return stored or head


def _request_hash(ref: WorkflowRef, from_step: str, plan: Plan) -> str:
    asked = {"fork": ref.workflow_id, "at": from_step, "plan": plan.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
