"""Worked examples and requests that the tests of planning share."""

from datetime import UTC, datetime
from typing import Any

from apex.planning.examples import WorkedExample
from apex.planning.library import PlanLibrary
from apex.ports.planning import PlanRequest
from apex.schema.plan import Plan

NOW = datetime(2027, 6, 4, 15, 30, tzinfo=UTC)


def request(goal: str) -> PlanRequest:
    return PlanRequest(tenant="acme", goal=goal, now=NOW)


def example(goal: str, *also: str, id: str = "sample", **slots: Any) -> WorkedExample:
    """One step, whose input takes each slot under its own name."""
    inputs = slots or {name: {"$slot": name} for name in _names(goal)}
    steps = [{"id": "s1", "tool": "respond_to_user", "input": inputs}]
    return WorkedExample.model_validate({"id": id, "goal": goal, "also": also, "steps": steps})


def _names(goal: str) -> list[str]:
    return [piece.partition(":")[0] for piece in goal.split("{")[1:]]


def found(library: PlanLibrary, goal: str) -> Plan | None:
    proposal = library.find(request(goal))
    return None if proposal is None else proposal.plan


def bound(library: PlanLibrary, goal: str) -> Any:
    """What the first step takes from the goal, or None for a miss."""
    plan = found(library, goal)
    return None if plan is None else dict(plan.steps[0].input)
