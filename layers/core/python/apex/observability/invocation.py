"""The decorator around every Lambda handler: binds the fields, logs start and outcome, measures."""

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from aws_lambda_powertools.logging import Logger

from apex.errors import ApexError, StepError
from apex.observability.context import Fields, bind
from apex.observability.logs import logger_for
from apex.observability.metrics import count, measure, metrics_of
from apex.observability.tracing import current_trace_id, span

Handler = Callable[[Any, Any], Any]

_TEXTS = ("tenant", "workflow_id", "step_id", "tool", "trace_id")
_NUMBERS = ("generation", "attempt")


def handler(*, service: str, tool: str | None = None) -> Callable[[Handler], Handler]:
    """Makes a function the handler of a Lambda function.

    ``service`` names it in logs, metrics and traces; ``tool`` is given for the function of one tool. Each
    invocation has the fields of its own event (tenant, workflow_id, generation, step_id, attempt, tool,
    trace_id) on every line and metric, logs "started" and then "succeeded", "signalled" or "failed", and
    counts the same.

    Signalled means that a `StepError` was raised: the way a step tells the state machine what to do next, and
    no fault. Whatever is raised is raised on unchanged.
    """

    def decorate(function: Handler) -> Handler:
        logger = logger_for(service)

        @wraps(function)
        def invoke(event: Any, context: Any) -> Any:
            with bind(**_fields_of(event, context, tool)), metrics_of(service, tool), span(f"## {service}"):
                return _observe(function, event, context, logger)

        return invoke

    return decorate


def _observe(function: Handler, event: Any, context: Any, logger: Logger) -> Any:
    logger.info("started")
    start = time.perf_counter()
    try:
        answer = function(event, context)
    except StepError as signal:
        logger.warning("signalled", extra={**_outcome("Signalled", start), **_description(signal)})
        raise
    except ApexError as error:
        # Without its traceback: the code says where it comes from.
        logger.error("failed", extra={**_outcome("Failed", start), **_description(error)})  # noqa: TRY400
        raise
    except Exception as error:
        logger.exception("failed", extra={**_outcome("Failed", start), **_description(error)})
        raise
    logger.info("succeeded", extra=_outcome("Succeeded", start))
    return answer


def _outcome(metric: str, start: float) -> dict[str, float]:
    milliseconds = round((time.perf_counter() - start) * 1000, 3)
    count(metric)
    measure("Duration", milliseconds)
    return {"duration_ms": milliseconds}


def _description(error: Exception) -> dict[str, str]:
    code = error.code if isinstance(error, ApexError) else ApexError.code
    return {"error": type(error).__name__, "code": code, "reason": str(error)}


def _fields_of(event: Any, context: Any, tool: str | None) -> Fields:
    """What an event says about itself; values of unexpected types are left out, the handler will tell."""
    given = event if isinstance(event, Mapping) else {}
    fields = Fields(request_id=_text(getattr(context, "aws_request_id", None)), trace_id=current_trace_id())
    for name in _TEXTS:
        if text := _text(given.get(name)):
            fields[name] = text  # type: ignore[literal-required]
    for name in _NUMBERS:
        number = given.get(name)
        if isinstance(number, int) and not isinstance(number, bool):
            fields[name] = number  # type: ignore[literal-required]
    if tool is not None:
        fields["tool"] = tool
    return fields


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
