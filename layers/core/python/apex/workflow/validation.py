"""Whether a plan may run: what can be known before the first call is checked here, and all of it is told."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from pydantic import ValidationError

from apex.errors import InvalidInput, PlanInvalid, ReferenceInvalid, SchemaInvalid
from apex.schema.contract import Contract, Effect, Lane
from apex.schema.plan import Plan, Step
from apex.schema.wire import problems_of
from apex.workflow.fitting import InputSchema, Later, closest, field_types, with_placeholders
from apex.workflow.references import Reference, references_in
from apex.workflow.waves import find_cycle

MAX_STEPS = 1000
MAX_PLAN_BYTES = 1_000_000


class Judgement(Protocol):
    """What policy answers about one step."""

    @property
    def lane(self) -> Lane:
        """The lane the step is in."""
        ...

    @property
    def reasons(self) -> Sequence[str]:
        """Why, in words for a person."""
        ...


class Policy(Protocol):
    """Judges a tool call, as ``apex.policy.lanes.assess`` does.

    Raises ``InvalidInput`` for an input it cannot judge.
    """

    def __call__(self, tool: str, resolved_input: Any, *, contract: Contract | None) -> Judgement:
        """The judgement on this call; parts of the input not known yet are None."""
        ...


@dataclass(frozen=True, slots=True)
class _ByContract:
    lane: Lane
    reasons: tuple[str, ...] = ("its contract says so",)


def by_contract(tool: str, resolved_input: Any, *, contract: Contract | None) -> Judgement:  # noqa: ARG001
    """The lane that the contract declares, RED for an effect that cannot be undone: the policy by default."""
    if contract is None:
        return _ByContract(Lane.YELLOW)
    if contract.effect is Effect.IRREVERSIBLE and contract.lane is not Lane.BLOCKED:
        return _ByContract(Lane.RED, ("its effect cannot be undone",))
    return _ByContract(contract.lane)


def validate_plan(
    plan: Plan, contracts: Mapping[str, Contract], *, max_steps: int = MAX_STEPS, policy: Policy = by_contract
) -> None:
    """Check a plan against the tools' contracts and the policy before anything runs.

    Raises ``PlanInvalid`` with every problem found: no steps or too many, ids used twice, unknown tools,
    dependencies that are unknown or go in circles, references to steps that are no dependencies or to fields
    that their results do not have, inputs that do not fit, a compensation that is not the tool's, and steps
    that policy does not let run.
    """
    if not plan.steps:
        raise PlanInvalid("the plan was refused", ["the plan has no steps"])
    if len(plan.steps) > max_steps:
        raise PlanInvalid(
            "the plan was refused", [f"the plan has {len(plan.steps)} steps, at most {max_steps} are allowed"]
        )
    checker = _Checker(plan, contracts, policy)
    problems = checker.problems_of_plan() + [
        f"step {step.id}: {problem}" for step in plan.steps for problem in checker.problems_of_step(step)
    ]
    if problems:
        raise PlanInvalid("the plan was refused", problems)


class _Checker:
    """One plan under examination."""

    def __init__(self, plan: Plan, contracts: Mapping[str, Contract], policy: Policy) -> None:
        self._steps = plan.steps
        self._by_id = {step.id: step for step in plan.steps}
        self._contracts = contracts
        self._policy = policy
        self._input_schemas: dict[str, InputSchema] = {}

    def problems_of_plan(self) -> list[str]:
        """What is wrong with the plan as a whole."""
        ids = [step.id for step in self._steps]
        problems = [f"step id {name} is used {ids.count(name)} times" for name in _repeated(ids)]
        no_self = [
            step.model_copy(update={"depends_on": tuple(name for name in step.depends_on if name != step.id)})
            for step in self._steps
        ]
        cycle = find_cycle(no_self)
        if cycle:
            problems.append(f"steps wait for each other in a circle: {' -> '.join(cycle)}")
        return problems

    def problems_of_step(self, step: Step) -> list[str]:
        """What is wrong with one step."""
        problems = [
            f"depends on {name}, which is not in the plan" for name in step.depends_on if name not in self._by_id
        ]
        if step.id in step.depends_on:
            problems.append("depends on itself")
        contract = self._contracts.get(step.tool)
        if contract is None:
            problems.append(f"there is no tool {step.tool}{closest(step.tool, sorted(self._contracts))}")
        try:
            references = references_in(step.input)
        except ReferenceInvalid as error:
            return problems + list(error.details["problems"])
        problems += dict.fromkeys(problem for reference in references for problem in self._problems_of(step, reference))
        if contract is not None:
            problems += self._problems_with_contract(step, contract)
        return problems

    def _problems_of(self, step: Step, reference: Reference) -> list[str]:
        target = self._by_id.get(reference.step_id)
        if target is None:
            return [f"{reference.text} refers to {reference.step_id}, which is not in the plan"]
        if reference.step_id not in step.depends_on:
            return [f"{reference.text} refers to {reference.step_id}, which is not in depends_on"]
        contract = self._contracts.get(target.tool)
        if contract is None:
            return []
        _, problem = field_types(contract.output_schema, reference.path)
        return [f"{reference.text}: the result of {target.id} ({target.tool}) {problem}"] if problem else []

    def _problems_with_contract(self, step: Step, contract: Contract) -> list[str]:
        problems = []
        if step.compensation is not None and step.compensation != contract.compensation:
            declared = contract.compensation or "none"
            problems.append(f"compensation {step.compensation} is not the one of {step.tool}, which is {declared}")
        known = with_placeholders(step.input, self._types_of)
        problems += self._input_schema(contract).misfits(known)
        try:
            judgement = self._policy(step.tool, _without_placeholders(known), contract=contract)
        except InvalidInput as error:
            return [*problems, error.message]
        if judgement.lane in {Lane.RED, Lane.BLOCKED}:
            why = "; ".join(judgement.reasons)
            problems.append(f"policy does not let {step.tool} run: it is {judgement.lane.value} ({why})")
        return problems

    def _input_schema(self, contract: Contract) -> InputSchema:
        if contract.name not in self._input_schemas:
            self._input_schemas[contract.name] = InputSchema(contract.input_schema)
        return self._input_schemas[contract.name]

    def _types_of(self, reference: Reference) -> frozenset[str] | None:
        target = self._by_id.get(reference.step_id)
        contract = self._contracts.get(target.tool) if target else None
        return field_types(contract.output_schema, reference.path)[0] if contract else None


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _without_placeholders(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_placeholders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_placeholders(item) for item in value]
    return None if isinstance(value, Later) else value


# ── reading a plan ──────────────────────────────────────────────────────────────────────────────────────────


def parse_plan(text: str | bytes) -> Plan:
    """Read a plan from JSON: ``{"steps": [{"id", "tool", "input", "depends_on", "compensation"?}, ...]}``.

    Raises ``SchemaInvalid`` with every problem: more than ``MAX_PLAN_BYTES``, no JSON, the same key twice in
    an object, numbers that JSON does not have, nesting that is too deep, unknown or missing fields.
    """
    size = len(text.encode(errors="replace") if isinstance(text, str) else text)
    if size > MAX_PLAN_BYTES:
        raise SchemaInvalid("this is not a plan", [f"document: has {size} bytes, at most {MAX_PLAN_BYTES} are allowed"])
    repeated: list[str] = []

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.extend(_repeated([key for key, _ in pairs]))
        return dict(pairs)

    try:
        data = json.loads(text, object_pairs_hook=read_object, parse_constant=_no_such_number)
    except RecursionError:
        raise SchemaInvalid("this is not a plan", ["document: is nested too deeply"]) from None
    except ValueError as error:
        raise SchemaInvalid("this is not a plan", [f"document: is not valid JSON: {error}"]) from None
    problems = [f"document: the key {key!r} stands twice in one object" for key in dict.fromkeys(repeated)]
    try:
        plan = Plan.model_validate(data)
    except ValidationError as error:
        raise SchemaInvalid("this is not a plan", problems + problems_of(error)) from None
    if problems:
        raise SchemaInvalid("this is not a plan", problems)
    return plan


def _no_such_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")
