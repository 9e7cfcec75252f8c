"""Publishes every new journal event on the bus, as an event envelope."""

from typing import Any

from apex.app.house import publishing
from apex.app.publish import publish
from apex.observability import handler as lambda_handler


@lambda_handler(service="publish-events")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """A DynamoDB Streams batch -> ``{batchItemFailures: [{itemIdentifier}]}``."""
    return publish(event["Records"], publishing())
