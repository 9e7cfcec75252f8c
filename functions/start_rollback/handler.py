"""Stops a workflow's steps from starting and starts its rollback."""

from typing import Any

from apex.app.house import house
from apex.app.requests import failure_of
from apex.app.rollback import start_rollback
from apex.observability import handler as lambda_handler
from apex.schema.ids import WorkflowRef


@lambda_handler(service="start-rollback")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """``{tenant, workflow_id, generation, door, failure: {step_id, error, cause}}`` -> ``{mode, generation,
    started}``."""
    ref = WorkflowRef(event["tenant"], event["workflow_id"])
    return start_rollback(house(), ref, event["generation"], failure_of(event["failure"]), event["door"])
