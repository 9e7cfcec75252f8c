"""Hands a long plan to a fresh execution."""

from typing import Any

from apex.app.generations import hand_over
from apex.app.house import house
from apex.observability import handler as lambda_handler
from apex.schema.ids import WorkflowRef


@lambda_handler(service="hand-over")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """``{tenant, workflow_id, generation}`` -> ``{generation}``."""
    return hand_over(house(), WorkflowRef(event["tenant"], event["workflow_id"]), event["generation"])
