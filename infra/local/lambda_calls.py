"""Calling functions of the local cloud from within it, and what becomes of calls that fail."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.awslambda.utils import get_backend
from moto.sqs.models import sqs_backends


class TargetUnreachable(Exception):
    """There is nothing at the ARN, or nothing that can be delivered to; trying again may help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function returned: its payload as text, and whether that payload describes an error."""

    payload: str
    failed: bool

    def value(self) -> Any:
        """The payload as plain data; ``None`` if it is not JSON."""
        try:
            return json.loads(self.payload) if self.payload else None
        except ValueError:
            return None


def _place(arn: str) -> tuple[str, str]:
    parts = arn.split(":")
    return parts[4], parts[3]


def function_at(arn: str) -> LambdaFunction:
    """The function with this ARN; raises ``TargetUnreachable`` if there is none."""
    account, region = _place(arn)
    function = get_backend(account, region)._lambdas.get_arn(arn)
    if function is None:
        raise TargetUnreachable(f"no function {arn}")
    return function


def invoke(arn: str, event: str) -> Answer:
    """Call a function with an event given as JSON text, and wait for its answer."""
    headers: dict[str, Any] = {}
    payload = function_at(arn).invoke(event, {}, headers)
    text = payload.decode() if isinstance(payload, bytes) else payload
    return Answer(text, "x-amz-function-error" in headers)


def send_message(queue_arn: str, body: str, attributes: dict[str, str] | None = None, group: str | None = None) -> None:
    """Put a message on an SQS queue, in a message group if it has an order.

    Raises ``TargetUnreachable`` if there is no queue of that ARN.
    """
    account, region = _place(queue_arn)
    backend = sqs_backends[account][region]
    name = queue_arn.rsplit(":", 1)[1]
    if queue_arn.split(":")[2] != "sqs" or name not in backend.queues:
        raise TargetUnreachable(f"no queue {queue_arn}")
    backend.send_message(
        name,
        body,
        group_id=group,
        message_attributes={
            key: {"DataType": "String", "StringValue": value} for key, value in (attributes or {}).items()
        },
    )


def timestamp(moment: float | None = None) -> str:
    """A moment (Unix seconds; now by default) as AWS writes it in its records: UTC with milliseconds and ``Z``."""
    when = datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
