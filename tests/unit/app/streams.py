"""Stream records as DynamoDB sends them, made from events, and the consumers on stores in memory."""

from collections.abc import Iterable, Sequence
from typing import Any

from apex.adapters.dynamodb.bodies import Bodies
from apex.adapters.dynamodb.items import Items
from apex.errors import StoreError
from apex.schema.envelope import EventEnvelope
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef

ITEMS = Items(Bodies(None, None))


def record_of(event: JournalEvent, number: int | None = None) -> dict[str, Any]:
    """The record of an event; its number is the event's own unless told otherwise."""
    ref = WorkflowRef(event.tenant_id, event.workflow_id)
    keys = ITEMS.journal_key(ref, event.seq)
    image = {"SequenceNumber": str(number or event.seq), "Keys": keys, "NewImage": ITEMS.event(ref, event)}
    return {"eventName": "INSERT", "dynamodb": image}


def records_of(events: Iterable[JournalEvent]) -> list[dict[str, Any]]:
    """Their records, numbered in the order in which they are given."""
    return [record_of(event, number) for number, event in enumerate(events, start=1)]


def poisoned(record: dict[str, Any]) -> dict[str, Any]:
    """The same record with a body that is no event."""
    image = {**record["dynamodb"]["NewImage"], "body": {"S": '{"type": "NoSuchEvent"}'}}
    return {**record, "dynamodb": {**record["dynamodb"], "NewImage": image}}


class ListeningBus:
    """A bus that remembers, and refuses the events of the numbers in ``refused``."""

    def __init__(self, refused: Sequence[int] = ()) -> None:
        self.refused = set(refused)
        self.heard: list[EventEnvelope] = []

    def publish(self, envelopes: Sequence[EventEnvelope]) -> list[bool]:
        taken = [envelope.payload["seq"] not in self.refused for envelope in envelopes]
        self.heard += [envelope for envelope, was in zip(envelopes, taken, strict=True) if was]
        return taken


class FullQueue:
    """``DeadLetters`` that take nothing."""

    def set_aside(self, letter: Any) -> None:
        raise StoreError("the queue does not answer")
