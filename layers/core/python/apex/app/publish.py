"""From the journal's stream to the bus: one event envelope per journal event."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from apex.adapters.dynamodb.items import Items
from apex.app.journal_records import Batch
from apex.errors import StoreError
from apex.observability import count
from apex.ports.instances import DeadLetters
from apex.schema.envelope import EventEnvelope, TraceContext, format_moment
from apex.schema.events import ENVELOPE_TYPES, JournalEvent
from apex.schema.keys import idempotency_key
from apex.schema.wire import freeze, thaw

LARGEST_ENTRY = 240 * 1024
"""Bytes; the bus takes 256 KiB, and the entry around the envelope wants some of them."""
_MAY_BE_LARGE = ("result", "final_result", "tool_input", "context", "steps", "goal", "compensation_results", "error")
_COMMON = {"event_id", "timestamp", "correlation_id", "tenant_id", "schema_version", "type"}


class Bus(Protocol):
    """Where the world listens."""

    def publish(self, envelopes: Sequence[EventEnvelope]) -> list[bool]:
        """Send the envelopes; answers, one by one, whether they were taken."""
        ...


@dataclass(frozen=True, slots=True)
class Publishing:
    """What publishing the journal needs."""

    items: Items
    bus: Bus
    dead_letters: DeadLetters


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


def publish(records: Sequence[dict[str, Any]], to: Publishing) -> dict[str, Any]:
    """Publish a batch of stream records; answers ``{batchItemFailures}``: from the first one on that the bus did not
    take everything is delivered again, so that a workflow's events keep their order."""
    batch = Batch("publish-events", records, to.items, to.dead_letters)
    taken = to.bus.publish([fitting(envelope_of(arrived.event)) for arrived in batch.arrived])
    for arrived, was_taken in zip(batch.arrived, taken, strict=True):
        if not was_taken:
            batch.come_again(arrived.number, arrived.ref, StoreError("the bus did not take the event"))
            break
    for ref, published in Counter(one.ref for one, was in zip(batch.arrived, taken, strict=True) if was).items():
        with batch.on_behalf_of(ref):
            count("EventPublished", published)
    return batch.answer()


def fitting(envelope: EventEnvelope) -> EventEnvelope:
    """The envelope, without its largest contents where the bus would refuse it; ``omitted`` then names what is missing.
    Who needs that reads the event itself."""
    omitted: list[str] = []
    while len(json.dumps(envelope.to_wire()).encode()) > LARGEST_ENTRY:
        payload = dict(envelope.payload)
        left = [name for name in _MAY_BE_LARGE if payload.get(name) is not None]
        if not left:
            return envelope
        largest = max(left, key=lambda name: len(json.dumps(thaw(payload[name]))))
        omitted.append(largest)
        del payload[largest]
        envelope = envelope.model_copy(update={"payload": freeze({**payload, "omitted": omitted})})
    return envelope
