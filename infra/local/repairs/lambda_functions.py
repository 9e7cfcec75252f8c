"""Lambda: real handlers instead of Docker containers, and answers as AWS gives them."""

import base64
from collections.abc import Callable
from typing import Any

from moto.awslambda.models import LambdaFunction

from infra.local.lambdas import bridge
from infra.local.repairs import Repair
from infra.local.repairs.stepfunctions_patching import replace


def _header(headers: Any, name: str) -> str | None:
    """A header by name in any spelling: moto hands over plain dicts and header objects."""
    for key, value in (headers or {}).items():
        if key.lower() == name:
            return str(value)
    return None


def _invoke(self: Any, body: str | bytes, request_headers: Any, response_headers: Any) -> str | bytes:
    """Replaces ``LambdaFunction.invoke``, which every service of moto calls."""
    payload = body.decode() if isinstance(body, bytes) else body
    kind = _header(request_headers, "x-amz-invocation-type") or "RequestResponse"
    if kind == "DryRun":
        return ""
    running = bridge.current()
    if kind == "Event" and running.invoke_later is not None:
        running.invoke_later(self.function_arn, payload or "{}")
        return ""
    answer = running.invoke(self, payload or "{}")
    if answer.failed:
        response_headers["x-amz-function-error"] = "Unhandled"
    response_headers["x-amz-log-result"] = base64.b64encode(answer.log[-4096:].encode()).decode()
    return answer.payload.encode()


def _install_invocation() -> Callable[[], None]:
    return replace((LambdaFunction, "invoke", _invoke))


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "lambda-invocation",
        "a function runs only in a Docker container, an error of its code is reported as 'Handled', and an "
        "asynchronous invocation is carried out before the call returns",
        _install_invocation,
    ),
)
