"""Puts event envelopes on an EventBridge bus."""

import json
from collections.abc import Sequence
from typing import Any

from apex.errors import StoreError
from apex.schema.envelope import EventEnvelope

_BATCH = 10


class EventBus:
    """One bus; ``client`` is a boto3 ``events`` client."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def publish(self, envelopes: Sequence[EventEnvelope]) -> list[bool]:
        """Send the envelopes; answers, one by one, whether the bus took it. The bus does not deduplicate: consumers
        go by ``eventId``."""
        taken: list[bool] = []
        for start in range(0, len(envelopes), _BATCH):
            part = envelopes[start : start + _BATCH]
            answer = self._client.put_events(Entries=[self._entry(envelope) for envelope in part])
            if len(answer["Entries"]) != len(part):
                raise StoreError("EventBridge did not answer for every event")
            taken += ["EventId" in entry for entry in answer["Entries"]]
        return taken

    def _entry(self, envelope: EventEnvelope) -> dict[str, Any]:
        return {
            "EventBusName": self._name,
            "Source": f"apex.{envelope.source}",
            "DetailType": envelope.event_type,
            "Detail": json.dumps(envelope.to_wire()),
        }
