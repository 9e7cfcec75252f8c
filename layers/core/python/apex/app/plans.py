"""Finds or makes the plan of a workflow, checks it, journals it, and tells the state machine the waves to run."""

from typing import Any

from apex.app.facts import stamp
from apex.app.house import House
from apex.errors import HeadChanged, InvalidInput, StepPaused
from apex.policy.lanes import assess
from apex.ports import PlanIndex, Planner, PlanProposal, PlanRequest
from apex.ports.store import Change
from apex.schema.events import GoalReceived, PlanGenerated
from apex.schema.ids import WorkflowRef, effect_key
from apex.schema.ledger import Head, Mode
from apex.schema.plan import Plan, PlannedBy, Step
from apex.schema.wire import thaw
from apex.tools.registry import Registry
from apex.workflow.validation import validate_plan
from apex.workflow.waves import waves

_RUNNING = frozenset({Mode.RUNNING})
_UNKNOWN_TOOL_TIMEOUT = 910
MAX_STEPS_PER_EXECUTION = 250
"""An execution's history ends at 25,000 events; a step takes about ten, more with retries. Longer plans go on in a
fresh execution."""


def find_plan(house: House, registry: Registry, index: PlanIndex, ref: WorkflowRef, generation: int) -> dict[str, Any]:
    """The plan that came with the goal, is journaled already, or is known to fit; answers ``{found, waves,
    wave_count, more}``.

    Raises ``PlanInvalid`` where the plan that came with the goal breaks the tools' contracts.
    """
    head = _running_head(house, ref, generation)
    if head.plan_id is not None:
        return _waves(house, registry, ref)
    submitted = house.store.submitted_plan(ref) if head.submitted_plan else None
    if submitted is not None:
        return _adopt(house, registry, head, PlanProposal(submitted, PlannedBy(planner="submitted")))
    proposal = index.find(_request(house, head))
    if proposal is None:
        return {"found": False, "waves": [], "wave_count": 0, "more": False}
    return _adopt(house, registry, head, proposal)


def make_plan(house: House, registry: Registry, planner: Planner, ref: WorkflowRef, generation: int) -> dict[str, Any]:
    """Have a planner propose a plan; answers as ``find_plan`` does. Raises ``GoalNotPlanned`` or ``PlanInvalid``."""
    head = _running_head(house, ref, generation)
    if head.plan_id is not None:
        return _waves(house, registry, ref)
    proposal = planner.make(_request(house, head))
    # Planning takes its time, and a planner does not answer the same twice: what was journaled meanwhile holds.
    head = _running_head(house, ref, generation)
    if head.plan_id is not None:
        return _waves(house, registry, ref)
    return _adopt(house, registry, head, proposal)


def _running_head(house: House, ref: WorkflowRef, generation: int) -> Head:
    head = house.store.head(ref)
    if head.mode is not Mode.RUNNING or head.generation != generation:
        raise StepPaused(
            f"the workflow is {head.mode.value} in generation {head.generation}, this execution is of {generation}"
        )
    if head.forking:
        raise InvalidInput("whoever forked it did not finish; fork the old workflow again under a new key")
    return head


def _request(house: House, head: Head) -> PlanRequest:
    received = house.store.event(head.ref, 1)
    if not isinstance(received, GoalReceived):
        raise TypeError(f"the first event of {head.workflow_id} is {received.type}")
    context = None if received.context is None else thaw(received.context)
    return PlanRequest(tenant=head.tenant, goal=received.goal, now=received.timestamp, context=context)


def _adopt(house: House, registry: Registry, head: Head, proposal: PlanProposal) -> dict[str, Any]:
    journal_plan(house, registry, head, proposal)
    return _summary(registry, proposal.plan, done=frozenset())


def journal_plan(house: House, registry: Registry, head: Head, proposal: PlanProposal) -> Head:
    """Check the plan and make it the workflow's; answers the head after it. The steps are stored before the event
    that refers to them.

    Raises ``PlanInvalid`` with every problem, and ``StepPaused`` where the workflow does not run in this generation
    any more.
    """
    validate_plan(proposal.plan, registry.contracts, policy=assess)
    steps = proposal.plan.steps
    house.store.put_plan(head.ref, steps)
    plan_id = effect_key(head.workflow_id, "plan", "run", 0)
    event = PlanGenerated(
        **stamp(head, house.clock.now()),
        plan_id=plan_id,
        steps=steps,
        cache_hit=proposal.planned_by.cache_hit,
        template_id=proposal.planned_by.template_id,
        planner=proposal.planned_by.planner,
    )
    change = Change(
        head.ref,
        (event,),
        modes=_RUNNING,
        generation=head.generation,
        head={"plan_id": plan_id, "step_count": len(steps)},
    )
    try:
        return house.store.commit(change, head)
    except HeadChanged as error:
        raise StepPaused(error.message) from error


def _waves(house: House, registry: Registry, ref: WorkflowRef) -> dict[str, Any]:
    """The waves still to run: a later generation does not repeat what is confirmed."""
    plan = Plan(steps=tuple(house.store.steps(ref)))
    entries = house.store.entries(ref)
    done = frozenset(step_id for step_id, entry in entries.items() if entry.is_done)
    return _summary(registry, plan, done)


def _summary(registry: Registry, plan: Plan, done: frozenset[str]) -> dict[str, Any]:
    """What the state machine carries: names and timeouts only, never inputs or results."""
    planned = [[step_call(registry, step) for step in wave] for wave in waves(plan.steps, done)]
    now, steps = 0, 0
    while now < len(planned) and (now == 0 or steps + len(planned[now]) <= MAX_STEPS_PER_EXECUTION):
        steps += len(planned[now])
        now += 1
    return {
        "found": True,
        "waves": [{"size": len(wave), "steps": wave} for wave in planned[:now]],
        "wave_count": now,
        "more": now < len(planned),
    }


def step_call(registry: Registry, step: Step) -> dict[str, Any]:
    """How the state machines call a step: its id, its tool (which names the function) and the state's timeout in
    seconds."""
    tool = registry.tools.get(step.tool)
    timeout = _UNKNOWN_TOOL_TIMEOUT if tool is None else tool.contract.state_timeout_seconds
    return {"step_id": step.id, "tool": step.tool, "timeout": timeout}
