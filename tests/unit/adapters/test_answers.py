"""What the store tells when the tables or the bucket refuse, fail or do not answer."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from apex.adapters.dynamodb.store import DynamoStore, StoreNames
from apex.adapters.memory import ManualClock
from apex.errors import StoreError
from apex.ports.store import Change, EntryWrite, NewWorkflow, RecordWrite
from apex.schema.events import GoalReceived, ToolCallRequested
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Entry, Head, Mode
from apex.schema.plan import Step
from infra.chaos.tables import MemoryBucket, MemoryTables

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REF = WorkflowRef("tenant", "workflow")
COMMON: dict[str, Any] = {"timestamp": NOON, "correlation_id": "c", "tenant_id": "tenant", "workflow_id": "workflow"}


class Trouble:
    """What goes wrong with the next call, and what else happens meanwhile."""

    def __init__(self) -> None:
        self.next: str | None = None

    def __call__(self, call: str, writes: Any) -> str | None:
        now, self.next = self.next, None
        return now


def store_with(trouble: Trouble, bucket: MemoryBucket | None = None) -> DynamoStore:
    names = StoreNames("journal", "state", "payloads", {"records": "records"})
    return DynamoStore(MemoryTables(hook=trouble), names, s3=bucket or MemoryBucket(), clock=ManualClock(NOON))


def started(store: DynamoStore) -> Head:
    head = Head(
        tenant="tenant", workflow_id="workflow", mode=Mode.RUNNING, seq=1, generation=1, correlation_id="c",
        request_hash="h", created_at=NOON, deadline=NOON + timedelta(hours=1),
    )  # fmt: skip
    assert store.create(NewWorkflow(head, GoalReceived(**COMMON, goal="g", user_id="u"))) is None
    return head


def intent(step_id: str) -> Change:
    entry = Entry(step_id=step_id, tool="t", state=EffectState.INTENDED, attempt=1, attempt_id=f"attempt-{step_id}")
    event = ToolCallRequested(**COMMON, tool_name="t", tool_input={}, step_id=step_id, attempt=1)
    return Change(REF, (event,), entries=(EntryWrite(None, entry, starts=True),))


READS: list[Callable[[DynamoStore], Any]] = [
    lambda store: store.head(REF),
    lambda store: store.view(REF, "s1"),
    lambda store: store.entries(REF),
    lambda store: store.entries(REF, ["s1"]),
    lambda store: store.steps(REF),
    lambda store: store.event(REF, 1),
    lambda store: list(store.events(REF)),
    lambda store: store.workflows("tenant"),
    lambda store: store.open_workflows(),
    lambda store: store.submitted_plan(REF),
    lambda store: store.read_record("records", "tenant", "key"),
    lambda store: store.put_plan(REF, [Step(id="s1", tool="t")]),
    lambda store: store.put_record(RecordWrite("records", "tenant", "key", {})),
]


@pytest.mark.parametrize("trouble", ["throttled", "lost"])
@pytest.mark.parametrize("read", READS)
def test_a_refused_or_unanswered_call_is_a_store_error(read: Callable[[DynamoStore], Any], trouble: str) -> None:
    """The state machines retry ``StoreError``; boto3's own errors would end the step."""
    hook = Trouble()
    store = store_with(hook)
    started(store)
    hook.next = trouble
    with pytest.raises(StoreError):
        read(store)


def test_a_bucket_that_fails_is_a_store_error() -> None:
    def refuse() -> None:
        raise ClientError({"Error": {"Code": "SlowDown", "Message": "slow down"}}, "PutObject")

    store = store_with(Trouble(), MemoryBucket(refuse))
    started(store)
    with pytest.raises(StoreError, match="SlowDown"):
        store.put_plan(REF, [Step(id="s1", tool="t", input={"text": "x" * 40_000})])


def test_a_change_whose_answer_was_lost_answers_the_head_as_it_left_it() -> None:
    """Its sequence number is the step's place in the rollback, whatever others have written meanwhile."""
    hook = Trouble()
    store = store_with(hook)
    head = started(store)
    reads = iter([None, "sibling"])

    def answer_lost_and_sibling_writes(call: str, writes: Any) -> str | None:
        if call == "transact_write_items" and hook.next == "lose":
            hook.next = None
            return "applied_no_answer"
        if call == "get_item" and next(reads, None) == "sibling":
            store.commit(intent("s2"), store.head(REF))
        return None

    hook.next = "lose"
    client = MemoryTables(hook=answer_lost_and_sibling_writes)
    names = StoreNames("journal", "state")
    store = DynamoStore(client, names, clock=ManualClock(NOON))
    hook.next = None
    head = started(store)
    hook.next = "lose"
    after = store.commit(intent("s1"), head)
    assert after.seq == 2
    assert store.head(REF).seq == 3
    assert store.entries(REF)["s1"].started_seq == after.seq
