"""Sees that every workflow ends: on a lost execution, on a late effect, and once a minute."""

from typing import Any

from apex.app.house import house
from apex.app.janitor import attend
from apex.observability import handler as lambda_handler


@lambda_handler(service="janitor")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """An EventBridge event -> ``{done: {workflow_id: action}}``."""
    return {"done": attend(house(), event)}
