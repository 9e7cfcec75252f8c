"""Finds the plan of a workflow: journaled, submitted with the goal, or proven for such goals."""

from typing import Any

from apex.app.catalogue import library, registry
from apex.app.house import house
from apex.app.plans import find_plan
from apex.observability import handler as lambda_handler
from apex.schema.ids import WorkflowRef


@lambda_handler(service="find-plan")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """``{tenant, workflow_id, generation}`` -> ``{found, waves, wave_count}``."""
    ref = WorkflowRef(event["tenant"], event["workflow_id"])
    return find_plan(house(), registry(), library(), ref, event["generation"])
