"""Lists what a rollback walks, newest start first."""

from typing import Any

from apex.app.catalogue import registry
from apex.app.house import house
from apex.app.rollback import list_steps
from apex.observability import handler as lambda_handler
from apex.schema.ids import WorkflowRef


@lambda_handler(service="list-steps")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """``{tenant, workflow_id, generation}`` -> ``{steps: [{step_id, tool, timeout}]}``."""
    return list_steps(house(), registry(), WorkflowRef(event["tenant"], event["workflow_id"]), event["generation"])
