"""From the journal's stream to the bus: one event envelope per journal event."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from apex.adapters.dynamodb.items import Items
from apex.adapters.eventbridge import EventBus
from apex.errors import ApexError
from apex.observability import logger_for
from apex.schema.envelope import EventEnvelope, TraceContext, format_moment
from apex.schema.events import ENVELOPE_TYPES, JournalEvent
from apex.schema.keys import idempotency_key

logger = logger_for("publish-events")

_COMMON = {"event_id", "timestamp", "correlation_id", "tenant_id", "schema_version", "type"}


def envelope_of(event: JournalEvent) -> EventEnvelope:
    """The envelope in which a journal event is published. The same event always gives the same envelope."""
    event_type = ENVELOPE_TYPES[event.type]
    body = event.model_dump(mode="json")
    return EventEnvelope(
        event_id=event.event_id,
        correlation_id=event.correlation_id,
        idempotency_key=idempotency_key(event.tenant_id, event_type, event.timestamp, event.event_id),
        tenant_id=event.tenant_id,
        event_type=event_type,
        payload={name: value for name, value in body.items() if name not in _COMMON},
        timestamp=format_moment(event.timestamp),
        source="orchestrator",
        trace=TraceContext(trace_id=event.correlation_id, span_id=event.event_id),
        schema_version="1.0.0",
    )


def publish(records: Sequence[dict[str, Any]], items: Items, bus: EventBus) -> dict[str, Any]:
    """Publish a batch of stream records; answers ``{batchItemFailures}``: everything from the first failure on is
    delivered again, so that a workflow's events keep their order."""
    envelopes: list[EventEnvelope] = []
    sequence_numbers: list[str] = []
    failed: str | None = None
    for record in records:
        if record["eventName"] != "INSERT":
            continue
        number = record["dynamodb"]["SequenceNumber"]
        try:
            envelopes.append(envelope_of(items.read_event(record["dynamodb"]["NewImage"])))
        except (ApexError, ValidationError, KeyError):
            logger.exception("a journal record cannot be read", extra={"sequence_number": number})
            failed = number
            break
        sequence_numbers.append(number)
    for number, taken in zip(sequence_numbers, bus.publish(envelopes), strict=True):
        if not taken:
            failed = number
            break
    return {"batchItemFailures": [] if failed is None else [{"itemIdentifier": failed}]}
