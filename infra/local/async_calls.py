"""Asynchronous invocations of functions: Lambda's own queue, with its retries and destinations."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.local.background import Background
from infra.local.ids import request_id
from infra.local.lambda_calls import Answer, TargetUnreachable, function_at, invoke, send_message, timestamp

_RETRIES = 2
_FIRST_PAUSE = 60.0
"""Seconds before the first retry; the second waits twice as long."""

_log = logging.getLogger(__name__)


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class _Call:
    function_arn: str
    payload: str
    request: str
    finished: Callable[[], None]


class AsyncCalls:
    """Takes events for functions and sees to it that each is processed or reported."""

    def __init__(self, background: Background) -> None:
        self._background = background

    def accept(self, function_arn: str, payload: str, finished: Callable[[], None] = _nothing) -> None:
        """Take an event (JSON text) for a function; returns at once.

        A failure is tried again twice (or as the function's event invoke configuration says), then goes to the
        ``OnFailure`` destination if that is a queue. ``finished`` is called once the event is processed or reported.
        Raises ``TargetUnreachable`` if there is no such function.
        """
        function_at(function_arn)
        call = _Call(function_arn, payload, request_id(), finished)
        self._background.run(lambda: self._attempt(call, failures=0))

    def _attempt(self, call: _Call, failures: int) -> None:
        answer = invoke(call.function_arn, call.payload)
        settings = _settings(call.function_arn)
        if answer.failed and failures < int(settings.get("MaximumRetryAttempts", _RETRIES)):
            pause = _FIRST_PAUSE * 2**failures
            self._background.run_later(pause, lambda: self._attempt(call, failures + 1))
            return
        outcome = "OnFailure" if answer.failed else "OnSuccess"
        destination = (settings.get("DestinationConfig", {}).get(outcome) or {}).get("Destination")
        if destination:
            _report(destination, _record(call, answer, failures + 1))
        elif answer.failed:
            _log.warning("%s failed %d times for one event; it is dropped", call.function_arn, failures + 1)
        call.finished()


def _settings(function_arn: str) -> dict[str, Any]:
    configured = function_at(function_arn).event_invoke_config
    return dict(configured[0].config) if configured else {}


def _report(destination: str, record: dict[str, Any]) -> None:
    try:
        send_message(destination, json.dumps(record))
    except TargetUnreachable:
        _log.warning("the destination %s cannot be reached; it misses %s", destination, record)


def _record(call: _Call, answer: Answer, invocations: int) -> dict[str, Any]:
    response: dict[str, Any] = {"statusCode": 200, "executedVersion": "$LATEST"}
    if answer.failed:
        response["functionError"] = "Unhandled"
    return {
        "version": "1.0",
        "timestamp": timestamp(),
        "requestContext": {
            "requestId": call.request,
            "functionArn": f"{call.function_arn}:$LATEST",
            "condition": "RetriesExhausted" if answer.failed else "Success",
            "approximateInvokeCount": invocations,
        },
        "requestPayload": json.loads(call.payload or "null"),
        "responseContext": response,
        "responsePayload": answer.value(),
    }
