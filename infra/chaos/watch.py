"""Looks over the tables' shoulder: every transaction is checked as it is written, and events are passed on."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from apex.adapters.dynamodb.bodies import Item
from apex.adapters.dynamodb.tables import workflow_key
from apex.schema.events import JournalEvent, event_from_json
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Head
from infra.chaos.scheduler import Scheduler


class Watch:
    """What was written, in order. ``publish`` is called with every event that came to pass."""

    def __init__(self, scheduler: Scheduler, publish: Callable[[JournalEvent], None]) -> None:
        self._scheduler = scheduler
        self._publish = publish
        self._seq: dict[str, int] = {}
        self._heads: dict[str, Head] = {}
        self.records: list[Item] = []
        """The journal's items as its stream would deliver them."""
        self.problems: list[str] = []
        self.transactions = 0
        self.ended_at: dict[str, datetime] = {}
        """When a workflow first ended, by workflow key."""

    def applied(self, writes: Sequence[Mapping[str, Any]]) -> None:
        """A transaction took place."""
        self.transactions += 1
        items = [write["Put"]["Item"] for write in writes if "Put" in write]
        events = [item for item in items if "seq" in item and "event_id" in item]
        heads = [item for item in items if item.get("sk") == {"S": "HEAD"}]
        for item in events:
            key, seq = item["pk"]["S"], int(item["seq"]["N"])
            if seq != self._seq.get(key, 0) + 1:
                self.problems.append(f"event {seq} of {key} follows {self._seq.get(key, 0)}")
            self._seq[key] = seq
            self.records.append(item)
            self._scheduler.note(f"{key} {seq} {item['type']['S']}")
        for item in heads:
            self._head(item)
        for item in events:
            if item["type"]["S"] == "LateEffectDetected" and "body" in item:
                self._publish(event_from_json(item["body"]["S"]))

    def _head(self, item: Item) -> None:
        key, head = item["pk"]["S"], Head.model_validate_json(item["body"]["S"])
        if head.seq != self._seq.get(key, 0):
            self.problems.append(f"the head of {key} is at {head.seq}, its journal at {self._seq.get(key, 0)}")
        self._heads[key] = head
        if head.mode.is_final:
            self.ended_at.setdefault(key, self._scheduler.now())

    def ended(self, ref: WorkflowRef) -> datetime | None:
        """When the workflow first ended."""
        return self.ended_at.get(workflow_key(ref.tenant, ref.workflow_id))

    def all_final(self, refs: Sequence[WorkflowRef]) -> bool:
        """Whether every workflow that exists has ended. One that was never accepted does not exist."""
        heads = [self._heads.get(workflow_key(ref.tenant, ref.workflow_id)) for ref in refs]
        return all(head is None or head.mode.is_final for head in heads)

    def head(self, ref: WorkflowRef) -> Head | None:
        """The head as it was written last, or None where the workflow was never accepted."""
        return self._heads.get(workflow_key(ref.tenant, ref.workflow_id))
