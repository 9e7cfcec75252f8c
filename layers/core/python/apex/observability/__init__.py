"""Logs, metrics and traces, with one set of field names and without secrets.

A handler is wrapped in `handler`; inside it, `logger_for` gives a logger, `count` and `measure` record
metrics, `span` times a part of the work in the trace, and `bind` or `annotate` add fields as they become
known.
"""

from apex.observability.context import FIELD_NAMES, Fields, annotate, bind, bound_fields
from apex.observability.invocation import handler
from apex.observability.logs import logger_for
from apex.observability.metrics import count, measure, metrics_of
from apex.observability.output import redirect_output
from apex.observability.redaction import REDACTED, redact, redact_text
from apex.observability.tracing import current_trace_id, span, trace_id_of, tracing_is_active

__all__ = [
    "FIELD_NAMES",
    "REDACTED",
    "Fields",
    "annotate",
    "bind",
    "bound_fields",
    "count",
    "current_trace_id",
    "handler",
    "logger_for",
    "measure",
    "metrics_of",
    "redact",
    "redact_text",
    "redirect_output",
    "span",
    "trace_id_of",
    "tracing_is_active",
]
