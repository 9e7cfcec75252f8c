"""Between the project's models and DynamoDB items. Only what a condition or an index needs is an attribute of its
own."""

import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apex.adapters.dynamodb.bodies import Bodies, Item
from apex.adapters.dynamodb.tables import tenant_key, workflow_key
from apex.ports.store import RecordWrite
from apex.schema.events import EventBase, JournalEvent, event_from_json
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Entry, Head
from apex.schema.plan import Step

HEAD = "HEAD"
SUBMITTED = "SUBMITTED"
SPEC = "SPEC#"
STEP = "STEP#"


def sortable(moment: datetime) -> str:
    """Texts of one length and one offset sort as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


OPEN_SHARDS = 8
"""The list of open workflows is spread over so many partitions, so that no single one has to take every write."""


def open_shards() -> tuple[str, ...]:
    """Partition keys of the list of open workflows."""
    return tuple(f"open#{shard}" for shard in range(OPEN_SHARDS))


@dataclass(frozen=True, slots=True)
class Items:
    """Builds and reads items."""

    bodies: Bodies

    def key(self, ref: WorkflowRef, sk: str) -> Item:
        """Primary key in the state table."""
        return {"pk": {"S": workflow_key(ref.tenant, ref.workflow_id)}, "sk": {"S": sk}}

    def journal_key(self, ref: WorkflowRef, seq: int) -> Item:
        """Primary key in the journal table."""
        return {"pk": {"S": workflow_key(ref.tenant, ref.workflow_id)}, "seq": {"N": str(seq)}}

    def head(self, head: Head) -> Item:
        """The head item; ``tenant_pk`` and ``created_sk`` put it into the list of the tenant's workflows, ``open_pk``
        into that of the workflows that have not ended."""
        item = {
            **self.key(head.ref, HEAD),
            "body": {"S": head.model_dump_json()},
            "mode": {"S": head.mode.value},
            "generation": {"N": str(head.generation)},
            "seq": {"N": str(head.seq)},
            "tenant_pk": {"S": tenant_key(head.tenant)},
            "created_sk": {"S": f"{sortable(head.created_at)}#{head.workflow_id}"},
        }
        if not head.mode.is_final:
            item["open_pk"] = {"S": open_shards()[zlib.crc32(head.workflow_id.encode()) % OPEN_SHARDS]}
        return item

    def read_head(self, item: Item) -> Head:
        """The head that an item holds."""
        return Head.model_validate_json(item["body"]["S"])

    def entry(self, ref: WorkflowRef, entry: Entry) -> Item:
        """The ledger item of a step."""
        item = {**self.key(ref, STEP + entry.step_id), "state": {"S": entry.state.value}}
        if entry.attempt_id is not None:
            item["attempt_id"] = {"S": entry.attempt_id}
        return item | self.bodies.pack(ref, entry.model_dump_json())

    def read_entry(self, item: Item) -> Entry:
        """The ledger entry that an item holds."""
        return Entry.model_validate_json(self.bodies.unpack(item))

    def event(self, ref: WorkflowRef, event: EventBase) -> Item:
        """The journal item of an event."""
        return {
            **self.journal_key(ref, event.seq),
            "event_id": {"S": event.event_id},
            "type": {"S": getattr(event, "type", "")},
            **self.bodies.pack(ref, event.model_dump_json()),
        }

    def read_event(self, item: Item) -> JournalEvent:
        """The event that a journal item holds."""
        return event_from_json(self.bodies.unpack(item))

    def spec(self, ref: WorkflowRef, step: Step, order: int) -> Item:
        """The specification of a step, with its place in the plan."""
        return {
            **self.key(ref, SPEC + step.id),
            "order": {"N": str(order)},
            **self.bodies.pack(ref, step.model_dump_json()),
        }

    def read_spec(self, item: Item) -> Step:
        """The step specification that an item holds."""
        return Step.model_validate_json(self.bodies.unpack(item))

    def record_key(self, table: str, tenant: str, key: str) -> Item:
        """Primary key of a tool's own row: the tenant leads, as everywhere."""
        return {"pk": {"S": f"{tenant_key(tenant)}#{table}"}, "sk": {"S": key}}

    def record(self, write: RecordWrite) -> Item:
        """A tool's own row."""
        body = json.dumps(write.item, ensure_ascii=False, allow_nan=False)
        return {**self.record_key(write.table, write.tenant, write.key), "body": {"S": body}}

    def read_record(self, item: Item) -> dict[str, Any]:
        """The row that an item holds."""
        data: dict[str, Any] = json.loads(item["body"]["S"])
        return data
