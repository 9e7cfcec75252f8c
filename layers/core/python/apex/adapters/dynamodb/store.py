"""The journal and the effect ledger on DynamoDB: every change is one ``TransactWriteItems``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apex.adapters.dynamodb.answers import answered
from apex.adapters.dynamodb.bodies import Bodies, Item
from apex.adapters.dynamodb.commits import Committer
from apex.adapters.dynamodb.items import HEAD, SPEC, STEP, SUBMITTED, Items, open_shards
from apex.adapters.dynamodb.tables import tenant_key, workflow_key, workflow_of
from apex.errors import WorkflowNotFound
from apex.ports.store import Change, NewWorkflow, RecordWrite, StepView
from apex.ports.surroundings import Clock
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Entry, Head
from apex.schema.plan import Plan, Step

_ORDERS_PER_REVISION = 100_000
_BATCH_GET = 100
_BATCH_WRITE = 25


@dataclass(frozen=True, slots=True)
class StoreNames:
    """The physical names; ``records`` maps a tool's table name to the physical one."""

    journal: str
    state: str
    payload_bucket: str | None = None
    records: Mapping[str, str] = field(default_factory=dict)


class DynamoStore:
    """``WorkflowStore`` on DynamoDB and S3. ``client`` and ``s3`` are boto3 clients."""

    def __init__(self, client: Any, names: StoreNames, *, s3: Any | None = None, clock: Clock) -> None:
        self._client = client
        self._names = names
        self._items = Items(Bodies(s3, names.payload_bucket))
        self._committer = Committer(client, names.journal, names.state, names.records, self._items, clock)

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, new: NewWorkflow) -> Head | None:
        """Write head, first event and submitted plan, unless the workflow exists: then answer its head."""
        ref = new.head.ref
        submitted = None
        if new.plan is not None:
            body = self._items.bodies.pack(ref, new.plan.model_dump_json())
            submitted = self._items.key(ref, SUBMITTED) | body
        return self._committer.create(new.head, new.received, submitted)

    def put_plan(self, ref: WorkflowRef, steps: Sequence[Step], *, revision: int = 0) -> None:
        """Store the steps' specifications, in batches of 25."""
        first = revision * _ORDERS_PER_REVISION
        puts = [{"PutRequest": {"Item": self._items.spec(ref, step, first + at)}} for at, step in enumerate(steps)]
        for start in range(0, len(puts), _BATCH_WRITE):
            pending: dict[str, Any] = {self._names.state: puts[start : start + _BATCH_WRITE]}
            while pending:
                with answered():
                    pending = self._client.batch_write_item(RequestItems=pending)["UnprocessedItems"]

    def put_record(self, write: RecordWrite) -> None:
        """Write a tool's own row outside any workflow."""
        self._committer.put_record(write)

    def commit(self, change: Change, head: Head, *, give_up_at: datetime | None = None) -> Head:
        """Write the change in one transaction; see ``apex.adapters.dynamodb.commits``."""
        return self._committer.commit(change, head, give_up_at)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def head(self, ref: WorkflowRef) -> Head:
        """The head, read consistently."""
        return self._committer.read_head(ref)

    def submitted_plan(self, ref: WorkflowRef) -> Plan | None:
        """The plan that came with the goal, if one did."""
        item = self._get(self._names.state, self._items.key(ref, SUBMITTED))
        return None if item is None else Plan.model_validate_json(self._items.bodies.unpack(item))

    def steps(self, ref: WorkflowRef) -> list[Step]:
        """All specifications, in plan order."""
        found = sorted(self._query(ref, SPEC), key=lambda item: int(item["order"]["N"]))
        return [self._items.read_spec(item) for item in found]

    def view(self, ref: WorkflowRef, step_id: str) -> StepView:
        """Head, specification and ledger entry in one ``BatchGetItem``."""
        found = self._batch_get([self._items.key(ref, sk) for sk in (HEAD, SPEC + step_id, STEP + step_id)])
        by_sk = {item["sk"]["S"]: item for item in found}
        if HEAD not in by_sk:
            raise WorkflowNotFound(f"there is no workflow {ref.workflow_id}")
        spec, entry = by_sk.get(SPEC + step_id), by_sk.get(STEP + step_id)
        return StepView(
            head=self._items.read_head(by_sk[HEAD]),
            spec=None if spec is None else self._items.read_spec(spec),
            entry=None if entry is None else self._items.read_entry(entry),
        )

    def entries(self, ref: WorkflowRef, step_ids: Sequence[str] | None = None) -> dict[str, Entry]:
        """Ledger entries by step id."""
        if step_ids is None:
            found = list(self._query(ref, STEP))
        else:
            found = self._batch_get([self._items.key(ref, STEP + step_id) for step_id in step_ids])
        entries = [self._items.read_entry(item) for item in found]
        return {entry.step_id: entry for entry in entries}

    def event(self, ref: WorkflowRef, seq: int) -> JournalEvent:
        """One event of the journal."""
        item = self._get(self._names.journal, self._items.journal_key(ref, seq))
        if item is None:
            raise WorkflowNotFound(f"workflow {ref.workflow_id} has no event {seq}")
        return self._items.read_event(item)

    def events(self, ref: WorkflowRef, after: int = 0) -> Iterator[JournalEvent]:
        """The journal in order, page by page."""
        items = self._pages(
            TableName=self._names.journal,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND seq > :after",
            ExpressionAttributeValues={
                ":pk": {"S": workflow_key(ref.tenant, ref.workflow_id)},
                ":after": {"N": str(after)},
            },
        )
        for item in items:
            yield self._items.read_event(item)

    def workflows(self, tenant: str, *, limit: int = 50) -> list[Head]:
        """The tenant's newest workflows; the index holds keys only, so the heads themselves are read."""
        with answered():
            answer = self._client.query(
                TableName=self._names.state,
                IndexName="by_tenant",
                KeyConditionExpression="tenant_pk = :tenant",
                ExpressionAttributeValues={":tenant": {"S": tenant_key(tenant)}},
                ScanIndexForward=False,
                Limit=limit,
            )
        keys = [{"pk": item["pk"], "sk": item["sk"]} for item in answer["Items"]]
        heads = [self._items.read_head(item) for item in self._batch_get(keys)]
        return sorted(heads, key=lambda head: (head.created_at, head.workflow_id), reverse=True)

    def open_workflows(self, *, limit: int = 200) -> list[WorkflowRef]:
        """Workflows of all tenants that have not ended, oldest first."""
        found: list[tuple[str, str]] = []
        for shard in open_shards():
            with answered():
                answer = self._client.query(
                    TableName=self._names.state,
                    IndexName="by_open",
                    KeyConditionExpression="open_pk = :shard",
                    ExpressionAttributeValues={":shard": {"S": shard}},
                    Limit=limit,
                )
            found += [(item["created_sk"]["S"], item["pk"]["S"]) for item in answer["Items"]]
        return [workflow_of(key) for _, key in sorted(found)[:limit]]

    def read_record(self, table: str, tenant: str, key: str) -> dict[str, Any] | None:
        """A tool's own row, or None."""
        item = self._get(self._names.records[table], self._items.record_key(table, tenant, key))
        return None if item is None else self._items.read_record(item)

    def _get(self, table: str, key: Item) -> Item | None:
        with answered():
            item: Item | None = self._client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return item

    def _batch_get(self, keys: Sequence[Item]) -> list[Item]:
        found: list[Item] = []
        for start in range(0, len(keys), _BATCH_GET):
            wanted = {"Keys": list(keys[start : start + _BATCH_GET]), "ConsistentRead": True}
            pending: dict[str, Any] = {self._names.state: wanted}
            while pending:
                with answered():
                    answer = self._client.batch_get_item(RequestItems=pending)
                found += answer["Responses"].get(self._names.state, [])
                pending = answer.get("UnprocessedKeys", {})
        return found

    def _query(self, ref: WorkflowRef, prefix: str) -> Iterator[Item]:
        return self._pages(
            TableName=self._names.state,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={
                ":pk": {"S": workflow_key(ref.tenant, ref.workflow_id)},
                ":prefix": {"S": prefix},
            },
        )

    def _pages(self, **request: Any) -> Iterator[Item]:
        with answered():
            for page in self._client.get_paginator("query").paginate(**request):
                yield from page["Items"]
