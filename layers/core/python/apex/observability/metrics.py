"""Metrics in CloudWatch's embedded format, made by Powertools: one document per invocation, in namespace
"Apex".

Dimensions are the environment, the service and the tool, and never the tenant: CloudWatch charges for each
combination of dimension values, so a dimension per tenant costs tenants x metrics every month. The tenant is
a property of the document instead. A document belongs to exactly one tenant, so numbers per tenant are a
query over the documents, and the metrics themselves are the operator's alone.
"""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.metrics.functions import is_metrics_disabled

from apex.observability.context import bound_fields
from apex.observability.output import write_line

NAMESPACE = "Apex"

# What CloudWatch takes in one document: as many metrics, and as many values of each.
_MOST = 100


@cache
def _form(env: str, service: str, tool: str | None) -> EphemeralMetrics:
    """What all documents of a service have in common; shared by threads, so it never keeps a value."""
    dimensions = {"env": env, "service": service}
    if tool is not None:
        dimensions["tool"] = tool
    return EphemeralMetrics(namespace=NAMESPACE, service=service, dimension_set=dimensions)


class _Document:
    """The metrics of one piece of work."""

    def __init__(self, service: str, tool: str | None) -> None:
        self.form = _form(os.environ.get("APEX_ENV", "dev"), service, tool)
        self.metrics: dict[str, dict[str, Any]] = {}

    def add(self, name: str, value: float, unit: MetricUnit) -> None:
        if not math.isfinite(value):
            return  # CloudWatch refuses the whole document for one such value
        metric = self.metrics.get(name)
        if len(metric["Value"]) >= _MOST if metric else len(self.metrics) >= _MOST:
            self.write()
            metric = None
        if metric is None:
            metric = self.metrics[name] = {"Unit": unit.value, "Value": []}
        metric["Value"].append(float(value))

    def write(self) -> None:
        if self.metrics and not is_metrics_disabled():
            # Dimensions win over a bound field of the same name: what a caller bound must not split a metric.
            document = {**bound_fields(), **self.form.serialize_metric_set(metrics=self.metrics)}
            write_line(json.dumps(document, separators=(",", ":")))
        self.metrics = {}


_current: ContextVar[_Document | None] = ContextVar("apex_metrics", default=None)


@contextmanager
def metrics_of(service: str, tool: str | None = None) -> Iterator[None]:
    """Collects what `count` and `measure` are given inside the block; one document is written at its end.

    Work for many tenants, such as a batch of events, uses one block for each tenant.
    """
    document = _Document(service, tool)
    token = _current.set(document)
    try:
        yield
    finally:
        _current.reset(token)
        document.write()


def count(name: str, value: float = 1) -> None:
    """Counts something that happened, such as ``EffectConfirmed``; outside `metrics_of` written at once."""
    _add(name, value, MetricUnit.Count)


def measure(name: str, milliseconds: float) -> None:
    """Records how long something took, in milliseconds; outside `metrics_of` written at once."""
    _add(name, milliseconds, MetricUnit.Milliseconds)


def _add(name: str, value: float, unit: MetricUnit) -> None:
    document = _current.get()
    if document is not None:
        document.add(name, value, unit)
        return
    with metrics_of(os.environ.get("POWERTOOLS_SERVICE_NAME", "apex")):
        _add(name, value, unit)
