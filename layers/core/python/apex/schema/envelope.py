"""The event envelope: what an app sends to ask for something, what the orchestrator sends to tell of it."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationError, WithJsonSchema

from apex.errors import SchemaInvalid
from apex.schema.event_types import PARTICIPANTS, is_well_formed
from apex.schema.wire import FrozenJson, WireModel, problems_of

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})", re.ASCII)


def parse_moment(text: str) -> datetime:
    """The instant that an ISO 8601 text with an offset names; digits beyond microseconds are cut off.

    Raises:
        ValueError: for dates, times without an offset and anything else.
    """
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"must name a moment that exists: {error}") from None
    raise ValueError("must be an ISO 8601 date and time with an offset, such as 2025-01-01T00:00:00Z")


def format_moment(moment: datetime) -> str:
    """An instant as the envelope writes it: UTC with milliseconds, like ``2025-01-01T00:00:00.000Z``.

    Raises:
        ValueError: for a time without an offset.
    """
    if moment.utcoffset() is None:
        raise ValueError("must have an offset from UTC")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise ValueError("must be a UUID")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _event_type(text: str) -> str:
    if not is_well_formed(text):
        raise ValueError("must have the form app:domain.action")
    return text


def _moment(text: str) -> str:
    parse_moment(text)
    return text


def _participant(text: str) -> str:
    if text not in PARTICIPANTS:
        raise ValueError(f"must be one of {', '.join(PARTICIPANTS)}")
    return text


def _target(value: Any) -> str | tuple[str, ...]:
    # By hand and not as a union, so that a wrong name is reported once and not once per branch.
    if isinstance(value, str):
        return _participant(value)
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(_participant(item) for item in value)
    raise ValueError("must be the name of an app or a list of such names")


def _milliseconds(value: Any) -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return value
    raise ValueError("must be a number of milliseconds, not negative")


def _strings(value: Mapping[str, Any]) -> Mapping[str, Any]:
    wrong = [key for key, item in value.items() if not isinstance(item, str)]
    if wrong:
        raise ValueError(f"must hold only strings, unlike {', '.join(wrong)}")
    return value


Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Participant = Annotated[Text, AfterValidator(_participant)]
Target = Annotated[
    str | tuple[str, ...],
    BeforeValidator(_target),
    WithJsonSchema({"anyOf": [{"enum": list(PARTICIPANTS)}, {"type": "array", "items": {"enum": list(PARTICIPANTS)}}]}),
]
Baggage = Annotated[
    FrozenJson,
    AfterValidator(_strings),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
Milliseconds = Annotated[int | float, BeforeValidator(_milliseconds), WithJsonSchema({"type": "number", "minimum": 0})]


class TraceContext(WireModel):
    """Where an event belongs in a distributed trace; baggage travels on unread and unrenamed."""

    trace_id: Text
    span_id: Text
    parent_span_id: Text | None = None
    baggage: Baggage | None = None


class ChaosMarks(WireModel):
    """Marks that a fault-injecting sender leaves on an event; they describe it and change nothing here."""

    is_duplicate: Flag | None = None
    injected_delay_ms: Milliseconds | None = None
    out_of_order: Flag | None = None
    simulated_failure: Literal["timeout", "network", "server", "validation"] | None = None
    retry_attempt: Count | None = None


class EventEnvelope(WireModel):
    """One event between apps. It never changes: neither its fields nor anything inside its payload.

    ``timestamp`` stays the text that was sent, because a round trip loses nothing, not even trailing zeros;
    `occurred_at` is the instant. ``target`` absent means everybody; ``payload`` belongs to the sender.
    """

    event_id: Annotated[Text, AfterValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
    correlation_id: Text
    idempotency_key: Annotated[Text, Field(min_length=10)]
    tenant_id: Annotated[Text, AfterValidator(_not_blank)]
    event_type: Annotated[Text, AfterValidator(_event_type)]
    payload: FrozenJson
    timestamp: Annotated[Text, AfterValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
    source: Participant
    target: Target | None = None
    trace: TraceContext
    chaos: ChaosMarks | None = None
    schema_version: Literal["1.0.0"]

    @property
    def occurred_at(self) -> datetime:
        """The instant of ``timestamp``, to the microsecond."""
        return parse_moment(self.timestamp)


def validate_envelope(data: object) -> EventEnvelope:
    """Read an envelope from plain JSON data, in camelCase or snake_case.

    Raises:
        SchemaInvalid: with everything that is wrong in ``problems``, not only the first thing.
    """
    if not isinstance(data, Mapping):
        raise SchemaInvalid("the event envelope is not valid", ["document: must be a JSON object"])
    try:
        return EventEnvelope.model_validate(data)
    except ValidationError as error:
        raise SchemaInvalid("the event envelope is not valid", problems_of(error)) from None
