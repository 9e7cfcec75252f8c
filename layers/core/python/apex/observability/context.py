"""The fields that say whose work a log line, a metric or a trace belongs to.

They live in a context variable: many invocations share one process, each in a thread of its own, and none may
ever see the fields of another.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TypedDict, Unpack

from apex.observability.redaction import redact


class Fields(TypedDict, total=False):
    """The one set of field names; None takes a field away."""

    tenant: str | None
    workflow_id: str | None
    generation: int | None
    step_id: str | None
    attempt: int | None
    tool: str | None
    trace_id: str | None
    request_id: str | None


FIELD_NAMES: tuple[str, ...] = tuple(Fields.__annotations__)

_NOTHING: Mapping[str, str | int] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str | int]] = ContextVar("apex_fields", default=_NOTHING)
_inside: ContextVar[bool] = ContextVar("apex_fields_are_bound", default=False)


def bound_fields() -> Mapping[str, str | int]:
    """The fields of the work at hand, read-only."""
    return _bound.get()


@contextmanager
def bind(**fields: Unpack[Fields]) -> Iterator[None]:
    """Adds the fields to everything logged and measured inside the block; what held before holds again after
    it.

    Raises:
        TypeError: for a name that is not one of `FIELD_NAMES`.
    """
    token, inside = _bound.set(_merged(fields)), _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(inside)
        _bound.reset(token)


def annotate(**fields: Unpack[Fields]) -> None:
    """Adds fields that became known only now; they hold until the enclosing `bind` or invocation ends.

    Outside of both nothing is added: nobody would ever take it away again.

    Raises:
        TypeError: for a name that is not one of `FIELD_NAMES`.
    """
    merged = _merged(fields)
    if _inside.get():
        _bound.set(merged)


def _merged(fields: Fields) -> Mapping[str, str | int]:
    if unknown := fields.keys() - set(FIELD_NAMES):
        raise TypeError(f"no such field: {', '.join(sorted(unknown))}; there are {', '.join(FIELD_NAMES)}")
    # Redacted here, once, and not on every line: a trace id or a tenant's name is somebody else's text too.
    merged = {**_bound.get(), **redact(fields)}
    return MappingProxyType({name: value for name, value in merged.items() if value is not None})
