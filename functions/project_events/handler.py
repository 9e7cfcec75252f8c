"""Keeps the read model of all workflows: one row per workflow, folded from its journal."""

from typing import Any

from apex.app.house import projecting
from apex.app.project import project
from apex.observability import handler as lambda_handler


@lambda_handler(service="project-events")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """A DynamoDB Streams batch -> ``{batchItemFailures: [{itemIdentifier}]}``."""
    return project(event["Records"], projecting())
