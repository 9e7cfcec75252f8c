"""Where plans come from: an index of proven ones, or a planner that proposes a new one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from apex.schema.plan import Plan, PlannedBy


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A goal to be planned, for one tenant, at one moment (relative dates are resolved against ``now``)."""

    tenant: str
    goal: str
    now: datetime
    context: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PlanProposal:
    """A plan that still has to be validated, and where it came from."""

    plan: Plan
    planned_by: PlannedBy


class PlanIndex(Protocol):
    """Finds a plan that is shown to fit the goal; None is a miss. Never raises for a goal it cannot serve."""

    def find(self, request: PlanRequest) -> PlanProposal | None:
        """The plan for this goal, or None."""
        ...


class Planner(Protocol):
    """Makes a plan for a goal nobody has planned before."""

    def make(self, request: PlanRequest) -> PlanProposal:
        """Propose a plan; raises ``GoalNotPlanned`` with what is missing where it cannot."""
        ...
