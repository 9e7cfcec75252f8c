"""X-Ray traces through Powertools' Tracer, where there is an X-Ray daemon to take them, as on Lambda.

Elsewhere spans cost nothing and the X-Ray SDK is not even imported.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from apex.errors import ApexError
from apex.observability.context import bound_fields

if TYPE_CHECKING:
    from aws_lambda_powertools import Tracer

TRACE_HEADER_VARIABLE = "_X_AMZN_TRACE_ID"
# The calls we make to the outside: AWS, and providers over HTTP. Each carries the trace id on.
_PATCHED = ("botocore", "httplib")


def trace_id_of(header: str | None) -> str | None:
    """The trace id in an X-Ray header (``Root=1-...;Parent=...;Sampled=1``), None where there is none."""
    for part in (header or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "Root" and value:
            return value
    return None


def current_trace_id() -> str | None:
    """The id of the trace that Lambda has this process in now."""
    return trace_id_of(os.environ.get(TRACE_HEADER_VARIABLE))


def tracing_is_active() -> bool:
    """Whether spans go anywhere: Lambda names its daemon in AWS_XRAY_DAEMON_ADDRESS, other places do not."""
    disabled = os.environ.get("POWERTOOLS_TRACE_DISABLED", "").lower() in ("true", "1", "yes")
    return bool(os.environ.get("AWS_XRAY_DAEMON_ADDRESS")) and not disabled


@contextmanager
def span(name: str) -> Iterator[None]:
    """Times the block as a subsegment of the current trace, annotated with the bound fields.

    A failure marks the subsegment with the error's code or class alone: messages may hold personal data.
    """
    tracer = _tracer()
    if tracer is None:
        yield
        return
    failure: BaseException | None = None
    subsegment: Any  # Powertools' type for it leaves out half of what it can do
    with tracer.provider.in_subsegment(name=name) as subsegment:
        for field, value in bound_fields().items():
            subsegment.put_annotation(key=field, value=value)
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - kept, and raised again when the span has ended
            failure = error
            code = error.code if isinstance(error, ApexError) else type(error).__name__
            subsegment.put_annotation(key="error", value=code)
            subsegment.add_fault_flag()
    if failure is not None:
        raise failure


@cache
def _tracer() -> "Tracer | None":
    if not tracing_is_active():
        return None
    from aws_lambda_powertools import Tracer

    return Tracer(auto_patch=True, patch_modules=_PATCHED)
