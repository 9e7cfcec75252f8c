"""Ends a workflow."""

from typing import Any

from apex.app.close import close_workflow
from apex.app.house import house
from apex.observability import handler as lambda_handler
from apex.schema.ids import WorkflowRef


@lambda_handler(service="close-workflow")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """``{tenant, workflow_id, generation}`` -> ``{status}``."""
    return close_workflow(house(), WorkflowRef(event["tenant"], event["workflow_id"]), event["generation"])
