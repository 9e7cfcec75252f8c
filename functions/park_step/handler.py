"""Parks a step whose undo could not be carried out."""

from typing import Any

from apex.app.house import house
from apex.app.requests import failure_of
from apex.app.rollback import park_step
from apex.observability import handler as lambda_handler
from apex.schema.ids import WorkflowRef


@lambda_handler(service="park-step")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """``{tenant, workflow_id, generation, step_id, failure: {error, cause}}`` -> ``{step_id, outcome}``."""
    ref = WorkflowRef(event["tenant"], event["workflow_id"])
    return park_step(house(), ref, event["generation"], event["step_id"], failure_of(event["failure"]).message)
