"""Has a planner make a plan for a goal that no proven plan fits."""

from typing import Any

from apex.app.catalogue import planner, registry
from apex.app.house import house
from apex.app.plans import make_plan
from apex.observability import handler as lambda_handler
from apex.schema.ids import WorkflowRef


@lambda_handler(service="make-plan")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """``{tenant, workflow_id, generation}`` -> ``{found, waves, wave_count}``; fails with ``GoalNotPlanned`` or
    ``PlanInvalid``."""
    ref = WorkflowRef(event["tenant"], event["workflow_id"])
    return make_plan(house(), registry(), planner(), ref, event["generation"])
