"""Answers with what it was given and what it knows about its invocation."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    return {
        "event": event,
        "function": context.function_name,
        "request": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
    }
