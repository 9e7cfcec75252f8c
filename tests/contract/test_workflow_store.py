"""What every workflow store does, whatever is underneath: one suite, run against each of them.

The point of the port is that the expectations of a change are checked where it is written. So the tests here go
through the port only, and try what must not be possible.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Protocol
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from moto import mock_aws

from apex.adapters.dynamodb.bodies import INLINE_LIMIT
from apex.adapters.dynamodb.store import DynamoStore, StoreNames
from apex.adapters.dynamodb.tables import TABLES, TableSpec
from apex.adapters.memory import ManualClock, MemoryStore
from apex.errors import Conflict, HeadChanged, InvalidInput, StepChanged, StoreContended, WorkflowNotFound
from apex.ports.store import Change, EntryWrite, NewWorkflow, RecordWrite, WorkflowStore
from apex.schema.events import GoalReceived, JournalEvent, RollbackStarted, StepFenced, ToolCallRequested
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Entry, Failure, Head, Mode
from apex.schema.plan import Plan, Step
from infra.chaos.tables import MemoryBucket, MemoryTables
from infra.local.repairs import dynamodb, dynamodb_speed

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUNNING = frozenset({Mode.RUNNING})


class Store(WorkflowStore, Protocol):
    """The port, and the reading of a tool's own rows, which both adapters offer beside it."""

    def read_record(self, table: str, tenant: str, key: str) -> dict[str, Any] | None:
        """A row."""
        ...

    def put_record(self, write: RecordWrite) -> None:
        """Write a row by itself."""
        ...

    def event(self, ref: WorkflowRef, seq: int) -> JournalEvent:
        """One event."""
        ...


# ── the stores ──────────────────────────────────────────────────────────────────────────────────────────────


def create_table(client: Any, spec: TableSpec) -> None:
    kinds = {spec.partition_key: "S", spec.sort_key: spec.sort_type}
    kinds |= {key: "S" for index in spec.indexes for key in (index.partition_key, index.sort_key)}
    indexes = [
        {
            "IndexName": index.name,
            "KeySchema": keys(index.partition_key, index.sort_key),
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        for index in spec.indexes
    ]
    client.create_table(
        TableName=spec.name,
        KeySchema=keys(spec.partition_key, spec.sort_key),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    )


def keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


@pytest.fixture(scope="module")
def aws() -> Iterator[tuple[Any, Any]]:
    """DynamoDB with the project's tables and S3 with a bucket; every test uses tenants of its own.

    moto is mended as in the local cloud: its own transactions are not isolated, and copy whole tables.
    """
    with ExitStack() as undo, mock_aws():
        for repair in (*dynamodb.REPAIRS, *dynamodb_speed.REPAIRS):
            undo.callback(repair.install())
        client = boto3.client("dynamodb", region_name="us-east-1")
        for spec in TABLES:
            create_table(client, spec)
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="payloads")
        yield client, s3


@pytest.fixture(params=["memory", "dynamodb", "simulated"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "simulated":  # what the fault simulator runs on
        client, s3 = MemoryTables(), MemoryBucket()
    else:
        client, s3 = request.getfixturevalue("aws")
    names = StoreNames(journal="journal", state="state", payload_bucket="payloads", records={"notes": "records"})
    return DynamoStore(client, names, s3=s3, clock=ManualClock(NOON))


# ── workflows to try things on ──────────────────────────────────────────────────────────────────────────────


def ref_of(tenant: str | None = None) -> WorkflowRef:
    return WorkflowRef(tenant or f"tenant-{uuid4()}", str(uuid4()))


def common(ref: WorkflowRef) -> dict[str, Any]:
    return {
        "timestamp": NOON,
        "correlation_id": "c-1",
        "tenant_id": ref.tenant,
        "workflow_id": ref.workflow_id,
    }


def new_workflow(ref: WorkflowRef, *, created_at: datetime = NOON, plan: Plan | None = None) -> NewWorkflow:
    head = Head(
        tenant=ref.tenant,
        workflow_id=ref.workflow_id,
        mode=Mode.RUNNING,
        seq=0,
        generation=1,
        correlation_id="c-1",
        request_hash="hash",
        created_at=created_at,
        deadline=created_at + timedelta(hours=1),
        submitted_plan=plan is not None,
    )
    return NewWorkflow(head, GoalReceived(**common(ref), goal="a goal", user_id="u-1"), plan)


def started(store: WorkflowStore, ref: WorkflowRef | None = None) -> Head:
    ref = ref or ref_of()
    assert store.create(new_workflow(ref)) is None
    return store.head(ref)


def requested(ref: WorkflowRef, step_id: str = "s1", **tool_input: Any) -> ToolCallRequested:
    return ToolCallRequested(**common(ref), tool_name="t", tool_input=tool_input, step_id=step_id, attempt=1)


def intended(step_id: str = "s1", attempt_id: str | None = "a-1", **more: Any) -> Entry:
    return Entry(step_id=step_id, tool="t", state=EffectState.INTENDED, attempt=1, attempt_id=attempt_id, **more)


def intent(head: Head, step_id: str = "s1", attempt_id: str | None = "a-1") -> Change:
    write = EntryWrite(None, intended(step_id, attempt_id), starts=True)
    return Change(
        head.ref, (requested(head.ref, step_id),), modes=RUNNING, generation=head.generation, entries=(write,)
    )


def snapshot(store: Store, ref: WorkflowRef) -> tuple[Any, ...]:
    """All there is to know about a workflow."""
    return (
        store.head(ref),
        list(store.events(ref)),
        store.entries(ref),
        store.steps(ref),
        store.submitted_plan(ref),
    )


# ── creating ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_workflow_has_a_head_and_one_event(store: Store) -> None:
    ref = ref_of()
    new = new_workflow(ref)
    assert store.create(new) is None
    assert store.head(ref) == new.head.model_copy(update={"seq": 1})
    assert list(store.events(ref)) == [new.received.model_copy(update={"seq": 1})]
    assert store.entries(ref) == {}
    assert store.steps(ref) == []
    assert store.submitted_plan(ref) is None


def test_creating_again_changes_nothing_and_answers_what_is_there(store: Store) -> None:
    head = started(store)
    after = store.commit(intent(head), head)
    before = snapshot(store, head.ref)
    again = new_workflow(head.ref, created_at=NOON + timedelta(days=1), plan=Plan(steps=(Step(id="x", tool="evil"),)))
    assert store.create(again) == after
    assert snapshot(store, head.ref) == before


def test_the_plan_of_the_first_submit_is_kept(store: Store) -> None:
    ref = ref_of()
    first, second = Plan(steps=(Step(id="a", tool="t"),)), Plan(steps=(Step(id="b", tool="t"),))
    assert store.create(new_workflow(ref, plan=first)) is None
    assert store.create(new_workflow(ref, plan=second)) is not None
    assert store.submitted_plan(ref) == first


def test_of_simultaneous_submits_the_plan_and_the_head_are_of_the_same_one(store: Store) -> None:
    for _ in range(5):
        ref = ref_of()
        plans = [Plan(steps=(Step(id=f"p{at}", tool="t"),)) for at in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda plan, ref=ref: store.create(new_workflow(ref, plan=plan)), plans))
        assert [store.submitted_plan(ref)] == [
            plan for plan, answer in zip(plans, answers, strict=True) if answer is None
        ]


def test_only_one_of_many_simultaneous_submits_creates(store: Store) -> None:
    ref = ref_of()
    news = [new_workflow(ref, created_at=NOON + timedelta(seconds=at)) for at in range(16)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(store.create, news))
    winners = [new for new, answer in zip(news, answers, strict=True) if answer is None]
    assert len(winners) == 1
    assert store.head(ref).created_at == winners[0].head.created_at
    assert len(list(store.events(ref))) == 1


def test_what_does_not_exist_is_not_found(store: Store) -> None:
    known = started(store)
    unknown = WorkflowRef(known.tenant, str(uuid4()))
    for read in (
        lambda: store.head(unknown),
        lambda: store.view(unknown, "s1"),
        lambda: store.event(unknown, 1),
        lambda: store.event(known.ref, 2),
        lambda: store.commit(Change(unknown, (requested(unknown),)), known.model_copy(update=vars_of(unknown))),
    ):
        with pytest.raises(WorkflowNotFound):
            read()
    assert list(store.events(unknown)) == []
    assert store.entries(unknown) == {}


def vars_of(ref: WorkflowRef) -> dict[str, str]:
    return {"tenant": ref.tenant, "workflow_id": ref.workflow_id}


# ── plans ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_steps_come_back_in_the_order_in_which_they_were_stored(store: Store) -> None:
    head = started(store)
    steps = [Step(id=f"s{at}", tool="t", input={"n": at}) for at in (9, 3, 11, 1, *range(20, 60))]
    store.put_plan(head.ref, steps)
    store.put_plan(head.ref, steps)
    assert store.steps(head.ref) == steps
    assert store.view(head.ref, "s11").spec == steps[2]
    assert store.head(head.ref) == head


# ── committing ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_change_writes_events_entries_and_head_together(store: Store) -> None:
    head = started(store)
    failure = Failure(step_id="s1", error="E", message="m")
    change = Change(
        head.ref,
        (
            requested(head.ref, "s1", text="ü", n=1.5, big=2**60),
            StepFenced(**common(head.ref), step_id="s2", tool_name="t"),
        ),
        modes=RUNNING,
        generation=1,
        entries=(
            EntryWrite(None, intended(input={"text": "ü"}), starts=True),
            EntryWrite(None, Entry(step_id="s2", tool="t", state=EffectState.FENCED)),
        ),
        head={"plan_id": "p-1", "step_count": 2, "failure": failure},
    )
    after = store.commit(change, head)
    assert after == head.model_copy(update={"seq": 3, "plan_id": "p-1", "step_count": 2, "failure": failure})
    assert store.head(head.ref) == after
    assert list(store.events(head.ref))[1:] == [
        change.events[0].model_copy(update={"seq": 2}),
        change.events[1].model_copy(update={"seq": 3}),
    ]
    entry = store.entries(head.ref)["s1"]
    assert entry == intended(input={"text": "ü"}, started_seq=2)
    assert store.entries(head.ref)["s2"].started_seq == 0
    view = store.view(head.ref, "s1")
    assert (view.head, view.spec, view.entry) == (after, None, entry)
    assert store.view(head.ref, "s3").entry is None


def test_only_the_first_intent_stamps_where_the_step_started(store: Store) -> None:
    head = started(store)
    head = store.commit(intent(head), head)
    before = store.entries(head.ref)["s1"]
    second = before.model_copy(update={"attempt": 2, "attempt_id": "a-2"})
    store.commit(Change(head.ref, (requested(head.ref),), entries=(EntryWrite(before, second),)), head)
    assert store.entries(head.ref)["s1"] == second
    assert second.started_seq == 2


def test_entries_can_be_asked_for_by_name(store: Store) -> None:
    head = started(store)
    for step_id in ("s1", "s2", "s3"):
        head = store.commit(intent(head, step_id), head)
    assert set(store.entries(head.ref)) == {"s1", "s2", "s3"}
    assert set(store.entries(head.ref, ["s3", "s1", "missing"])) == {"s1", "s3"}
    assert store.entries(head.ref, []) == {}


def test_events_can_be_read_from_a_place_on(store: Store) -> None:
    head = started(store)
    for step_id in ("s1", "s2", "s3"):
        head = store.commit(intent(head, step_id), head)
    assert [event.seq for event in store.events(head.ref, after=2)] == [3, 4]
    assert [event.seq for event in store.events(head.ref, after=4)] == []
    assert store.event(head.ref, 3) == list(store.events(head.ref))[2]


def test_an_old_head_is_good_enough_while_its_expectations_hold(store: Store) -> None:
    old = started(store)
    store.commit(intent(old, "s1"), old)
    after = store.commit(intent(old, "s2"), old)
    assert after.seq == 3
    assert store.entries(old.ref)["s2"].started_seq == 3


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({"mode": Mode.ROLLING_BACK}, {"modes": RUNNING}),
        ({"mode": Mode.FAILED}, {"modes": frozenset({Mode.RUNNING, Mode.ROLLING_BACK})}),
        ({"generation": 2}, {"generation": 1}),
        ({"mode": Mode.ROLLING_BACK, "generation": 2}, {"modes": RUNNING, "generation": 1}),
    ],
)
def test_a_change_is_refused_where_the_head_has_moved_on(
    store: Store, moved: dict[str, Any], expected: dict[str, Any]
) -> None:
    old = started(store)
    rollback = RollbackStarted(**common(old.ref), generation=2, door="catch", error="E", error_message="m")
    store.commit(Change(old.ref, (rollback,), head=moved), old)
    before = snapshot(store, old.ref)
    write = EntryWrite(None, intended(), starts=True)
    with pytest.raises(HeadChanged):
        store.commit(Change(old.ref, (requested(old.ref),), entries=(write,), **expected), old)
    assert snapshot(store, old.ref) == before


def test_an_outcome_needs_neither_mode_nor_generation(store: Store) -> None:
    old = started(store)
    head = store.commit(intent(old), old)
    entry = store.entries(old.ref)["s1"]
    rollback = RollbackStarted(**common(old.ref), generation=2, door="catch", error="E", error_message="m")
    store.commit(Change(old.ref, (rollback,), head={"mode": Mode.ROLLING_BACK, "generation": 2}), head)
    done = entry.model_copy(update={"state": EffectState.CONFIRMED})
    after = store.commit(Change(old.ref, (requested(old.ref),), entries=(EntryWrite(entry, done),)), head)
    assert (after.mode, after.generation, after.seq) == (Mode.ROLLING_BACK, 2, 4)
    assert store.entries(old.ref)["s1"].state is EffectState.CONFIRMED


@pytest.mark.parametrize(
    ("stored", "believed"),
    [
        (intended(), None),
        (None, intended()),
        (intended(attempt_id="a-2"), intended(attempt_id="a-1")),
        (intended(attempt_id=None), intended(attempt_id="a-1")),
        (intended(attempt_id="a-1"), intended(attempt_id=None)),
        (intended().model_copy(update={"state": EffectState.UNKNOWN}), intended()),
        (Entry(step_id="s1", tool="t", state=EffectState.FENCED), None),
    ],
)
def test_a_change_is_refused_where_the_entry_is_another(
    store: Store, stored: Entry | None, believed: Entry | None
) -> None:
    head = started(store)
    if stored is not None:
        head = store.commit(Change(head.ref, (requested(head.ref),), entries=(EntryWrite(None, stored),)), head)
    before = snapshot(store, head.ref)
    after = intended(attempt_id="a-9")
    with pytest.raises(StepChanged):
        store.commit(Change(head.ref, (requested(head.ref),), entries=(EntryWrite(believed, after),)), head)
    assert snapshot(store, head.ref) == before


def test_one_failed_expectation_undoes_the_whole_change(store: Store) -> None:
    head = started(store)
    head = store.commit(intent(head, "s2"), head)
    before = snapshot(store, head.ref)
    tenant = head.tenant
    change = Change(
        head.ref,
        (requested(head.ref, "s1"), requested(head.ref, "s2")),
        entries=(
            EntryWrite(None, intended("s1"), starts=True),
            EntryWrite(None, intended("s2"), starts=True),
        ),
        records=(RecordWrite("notes", tenant, "k", {"a": 1}),),
        head={"mode": Mode.PAUSED},
    )
    with pytest.raises(StepChanged) as caught:
        store.commit(change, head)
    assert caught.value.details["step_id"] == "s2"
    assert snapshot(store, head.ref) == before
    assert store.read_record("notes", tenant, "k") is None


def test_a_lost_race_costs_no_number(store: Store) -> None:
    old = started(store)
    store.commit(intent(old, "s1"), old)
    with pytest.raises(StepChanged):
        store.commit(intent(old, "s1", "a-2"), old)
    assert store.commit(intent(old, "s2"), old).seq == 3
    assert [event.seq for event in store.events(old.ref)] == [1, 2, 3]


# ── many at once ────────────────────────────────────────────────────────────────────────────────────────────


def test_sixteen_writers_leave_no_gap_and_no_double(store: Store) -> None:
    head = started(store)
    mine = [[f"w{writer}-{at}" for at in range(8)] for writer in range(16)]

    def write(step_ids: list[str]) -> list[int]:
        seqs = []
        for step_id in step_ids:
            store.commit(intent(head, step_id), head, give_up_at=NOON + timedelta(days=365))
            seqs.append(store.entries(head.ref, [step_id])[step_id].started_seq)
        return seqs

    with ThreadPoolExecutor(16) as pool:
        seqs = list(pool.map(write, mine))

    events = list(store.events(head.ref))
    assert [event.seq for event in events] == list(range(1, 130))
    assert store.head(head.ref).seq == 129
    entries = store.entries(head.ref)
    assert {event.step_id: event.seq for event in events if isinstance(event, ToolCallRequested)} == {
        step_id: entry.started_seq for step_id, entry in entries.items()
    }
    assert all(own == sorted(own) for own in seqs)


def test_of_many_attempts_on_one_step_exactly_one_gets_it(store: Store) -> None:
    head = started(store)

    def attempt(number: int) -> bool:
        try:
            store.commit(intent(head, "s1", f"a-{number}"), head, give_up_at=NOON + timedelta(days=365))
        except StepChanged:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(attempt, range(16)))
    assert won.count(True) == 1
    assert store.entries(head.ref)["s1"].attempt_id == f"a-{won.index(True)}"
    assert store.head(head.ref).seq == 2


def test_after_rollback_has_begun_no_step_starts(store: Store) -> None:
    """Whatever the interleaving: every intent stands before the rollback in the journal, or was refused."""
    for _ in range(5):
        head = started(store)
        rollback = RollbackStarted(**common(head.ref), generation=2, door="catch", error="E", error_message="m")
        begin = Change(head.ref, (rollback,), head={"mode": Mode.ROLLING_BACK, "generation": 2})
        patience = NOON + timedelta(days=365)

        def start_step(at: int, head: Head = head, patience: datetime = patience) -> bool:
            try:
                store.commit(intent(head, f"s{at}"), head, give_up_at=patience)
            except HeadChanged:
                return False
            return True

        def go(at: int, head: Head = head, begin: Change = begin, patience: datetime = patience) -> bool:
            return bool(store.commit(begin, head, give_up_at=patience)) if at == 6 else start_step(at)

        with ThreadPoolExecutor(12) as pool:
            began = list(pool.map(go, range(12)))
        events = list(store.events(head.ref))
        place = next(event.seq for event in events if isinstance(event, RollbackStarted))
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert place == len(events)
        assert len(events) == 1 + began.count(True)


# ── tenants ─────────────────────────────────────────────────────────────────────────────────────────────────

HOSTILE = (
    "a",
    "a#b",
    "a%23b",
    "*",
    "a*",
    "ä",
    "a\u0308",
    "A",
    " a",
    "a ",
    "a/b",
    "a/../b",
    "名前",
    "a|b",
    "{a}",
    "#",
)


def test_tenants_with_hostile_names_never_meet(store: Store) -> None:
    suffix = str(uuid4())
    workflow_id = str(uuid4())
    tenants = [f"{name}{suffix}" for name in HOSTILE]
    for number, tenant in enumerate(tenants):
        ref = WorkflowRef(tenant, workflow_id)
        head = started(store, ref)
        step = Step(id="s1", tool=f"t{number}")
        store.put_plan(ref, [step])
        change = Change(
            ref,
            (requested(ref, n=number),),
            entries=(EntryWrite(None, intended(result=number)),),
            records=(RecordWrite("notes", tenant, "k", {"of": number}, must_be_new=True),),
        )
        store.commit(change, head)
    for number, tenant in enumerate(tenants):
        ref = WorkflowRef(tenant, workflow_id)
        assert [head.tenant for head in store.workflows(tenant)] == [tenant]
        assert store.head(ref).tenant == tenant
        assert {event.tenant_id for event in store.events(ref)} == {tenant}
        assert len(list(store.events(ref))) == 2
        assert store.entries(ref)["s1"].result == number
        assert [step.tool for step in store.steps(ref)] == [f"t{number}"]
        assert store.read_record("notes", tenant, "k") == {"of": number}


def test_another_tenants_workflow_is_not_found(store: Store) -> None:
    ref = ref_of("acme" + str(uuid4()))
    started(store, ref)
    for name in ("", "*", "%", "acme", ref.tenant + "#", f"{ref.tenant}#{ref.workflow_id}"):
        with pytest.raises((WorkflowNotFound, InvalidInput)):
            store.head(WorkflowRef(name, ref.workflow_id))
        if name:
            assert store.workflows(name) == []


def test_an_empty_tenant_is_refused_everywhere(store: Store) -> None:
    ref = WorkflowRef("", str(uuid4()))
    for use in (
        lambda: store.create(new_workflow(ref)),
        lambda: store.head(ref),
        lambda: list(store.events(ref)),
        lambda: store.entries(ref),
        lambda: store.workflows(""),
        lambda: store.put_plan(ref, [Step(id="s1", tool="t")]),
    ):
        with pytest.raises(InvalidInput):
            use()


# ── listing ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_workflows_are_listed_newest_first_and_no_more_than_asked(store: Store) -> None:
    tenant = f"tenant-{uuid4()}"
    times = {
        "second": NOON + timedelta(seconds=1),
        "newest": NOON + timedelta(hours=2),
        "fraction": NOON + timedelta(seconds=1, microseconds=500_000),
        "oldest": NOON,
        # One instant is one instant, whatever the offset it was written with: this is 13:00 UTC.
        "elsewhere": datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=-5))),
    }
    ids = {name: str(uuid4()) for name in times}
    for name, created_at in times.items():
        assert store.create(new_workflow(WorkflowRef(tenant, ids[name]), created_at=created_at)) is None
    order = ["newest", "elsewhere", "fraction", "second", "oldest"]
    for limit in (1, 2, 3, 50):
        listed = store.workflows(tenant, limit=limit)
        assert [head.workflow_id for head in listed] == [ids[name] for name in order[:limit]]
    changed = store.head(WorkflowRef(tenant, ids["oldest"]))
    after = store.commit(intent(changed), changed)
    assert store.workflows(tenant)[-1] == after


def test_open_workflows_of_all_tenants_are_listed_oldest_first_until_they_end(store: Store) -> None:
    suffix = str(uuid4())
    long_ago = datetime(1990, 1, 1, tzinfo=UTC)  # before those of the other tests
    refs = [ref_of(f"{name}{suffix}") for name in HOSTILE]
    for age, ref in enumerate(refs):
        store.create(new_workflow(ref, created_at=long_ago - timedelta(days=age)))
    refs.reverse()

    def still_open() -> list[WorkflowRef]:
        return [ref for ref in store.open_workflows(limit=10_000) if ref in refs]

    def move(ref: WorkflowRef, mode: Mode) -> None:
        head = store.head(ref)
        rollback = RollbackStarted(**common(ref), generation=1, door="operator", error="E", error_message="m")
        store.commit(Change(ref, (rollback,), head={"mode": mode}), head)

    assert still_open() == refs
    assert store.open_workflows(limit=3) == refs[:3]
    for ref, mode in zip(refs, Mode, strict=False):
        move(ref, mode)
    ended = [ref for ref, mode in zip(refs, Mode, strict=False) if mode.is_final]
    assert len(ended) == 4
    assert still_open() == [ref for ref in refs if ref not in ended]
    move(ended[0], Mode.ROLLING_BACK)
    assert still_open() == [ref for ref in refs if ref not in ended[1:]]
    for ref in refs:
        move(ref, Mode.FAILED)
    assert still_open() == []


# ── rows that tools own ─────────────────────────────────────────────────────────────────────────────────────


def record_change(head: Head, write: RecordWrite) -> Change:
    return Change(head.ref, (requested(head.ref),), records=(write,))


def test_a_row_is_written_with_its_change_and_deleted_with_another(store: Store) -> None:
    head = started(store)
    item = {"text": "ü", "n": 1.5, "list": [1, {"a": None}]}
    head = store.commit(record_change(head, RecordWrite("notes", head.tenant, "k", item, must_be_new=True)), head)
    assert store.read_record("notes", head.tenant, "k") == item
    head = store.commit(record_change(head, RecordWrite("notes", head.tenant, "k", {"v": 2})), head)
    assert store.read_record("notes", head.tenant, "k") == {"v": 2}
    for _ in range(2):
        head = store.commit(record_change(head, RecordWrite("notes", head.tenant, "k", None)), head)
        assert store.read_record("notes", head.tenant, "k") is None


def test_a_row_that_must_be_new_is_never_overwritten(store: Store) -> None:
    head = started(store)
    head = store.commit(record_change(head, RecordWrite("notes", head.tenant, "k", {"v": 1}, must_be_new=True)), head)
    change = Change(
        head.ref,
        (requested(head.ref),),
        entries=(EntryWrite(None, intended(), starts=True),),
        records=(RecordWrite("notes", head.tenant, "k", {"v": 2}, must_be_new=True),),
    )
    with pytest.raises(Conflict):
        store.commit(change, head)
    assert store.read_record("notes", head.tenant, "k") == {"v": 1}
    assert store.head(head.ref) == head
    assert store.entries(head.ref) == {}


def test_a_row_can_be_written_by_itself(store: Store) -> None:
    tenant = f"tenant-{uuid4()}"
    store.put_record(RecordWrite("notes", tenant, "k", {"v": 1}, must_be_new=True))
    with pytest.raises(Conflict):
        store.put_record(RecordWrite("notes", tenant, "k", {"v": 2}, must_be_new=True))
    assert store.read_record("notes", tenant, "k") == {"v": 1}
    store.put_record(RecordWrite("notes", tenant, "k", {"v": 3}))
    assert store.read_record("notes", tenant, "k") == {"v": 3}
    store.put_record(RecordWrite("notes", tenant, "k", None))
    assert store.read_record("notes", tenant, "k") is None


# ── nothing stored can be changed from outside ──────────────────────────────────────────────────────────────


def test_what_was_handed_in_can_be_changed_without_changing_what_is_stored(store: Store) -> None:
    head = started(store)
    given: dict[str, Any] = {"list": [1]}
    item: dict[str, Any] = {"list": [1]}
    # A copy made by pydantic does not run the field types that freeze.
    entry = intended().model_copy(update={"input": given, "result": [given]})
    change = Change(
        head.ref,
        (requested(head.ref, **given),),
        entries=(EntryWrite(None, entry),),
        records=(RecordWrite("notes", head.tenant, "k", item),),
    )
    store.commit(change, head)
    given["list"].append(2)
    item["list"].append(2)
    stored = store.entries(head.ref)["s1"]
    assert (stored.input, stored.result) == ({"list": [1]}, [{"list": [1]}])
    assert store.read_record("notes", head.tenant, "k") == {"list": [1]}
    (event,) = store.events(head.ref, after=1)
    assert isinstance(event, ToolCallRequested)
    assert event.tool_input == {"list": [1]}


def test_what_was_read_cannot_change_what_is_stored(store: Store) -> None:
    head = started(store)
    change = Change(
        head.ref,
        (requested(head.ref, list=[1]),),
        entries=(EntryWrite(None, intended(input={"list": [1]}, result=[1])),),
        records=(RecordWrite("notes", head.tenant, "k", {"list": [1]}),),
    )
    store.commit(change, head)
    row = store.read_record("notes", head.tenant, "k")
    assert row is not None
    row["list"].append(2)
    assert store.read_record("notes", head.tenant, "k") == {"list": [1]}
    entry = store.entries(head.ref)["s1"]
    (event,) = store.events(head.ref, after=1)
    assert isinstance(event, ToolCallRequested)
    spoil: list[Callable[[], object]] = [
        lambda: entry.input["list"].append(2),
        lambda: entry.result.append(2),
        lambda: event.tool_input["list"].append(2),
    ]
    for change_it in spoil:
        with pytest.raises(TypeError):
            change_it()
    store.entries(head.ref).clear()
    assert store.entries(head.ref)["s1"] == entry


# ── DynamoDB's own ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def dynamo(aws: tuple[Any, Any]) -> DynamoStore:
    return DynamoStore(
        aws[0],
        StoreNames("journal", "state", "payloads", {"notes": "records"}),
        s3=aws[1],
        clock=ManualClock(NOON),
    )


def test_large_documents_go_by_reference_and_come_back_whole(dynamo: DynamoStore, aws: tuple[Any, Any]) -> None:
    ref = ref_of("a/b#c" + str(uuid4()))
    text = "ü" * INLINE_LIMIT
    plan = Plan(steps=(Step(id="s1", tool="t", input={"text": text}),))
    assert dynamo.create(new_workflow(ref, plan=plan)) is None
    head = dynamo.head(ref)
    dynamo.put_plan(ref, plan.steps)
    entry = intended(input={"text": text}, result={"text": text})
    dynamo.commit(Change(ref, (requested(ref, text=text),), entries=(EntryWrite(None, entry),)), head)

    assert dynamo.submitted_plan(ref) == plan
    assert dynamo.steps(ref) == list(plan.steps)
    assert dynamo.entries(ref) == {"s1": entry}
    assert dynamo.view(ref, "s1").spec == plan.steps[0]
    (event,) = dynamo.events(ref, after=1)
    assert isinstance(event, ToolCallRequested)
    assert event.tool_input == {"text": text}

    client, s3 = aws
    for table in ("journal", "state"):
        items = client.scan(TableName=table)["Items"]
        assert all(len(str(item)) < INLINE_LIMIT + 1000 for item in items)
    objects = [content["Key"] for content in s3.list_objects_v2(Bucket="payloads")["Contents"]]
    assert sum(ref.workflow_id in key for key in objects) == 4


def test_a_contended_change_gives_up_in_time(aws: tuple[Any, Any]) -> None:
    clock = ManualClock(NOON)
    names = StoreNames("journal", "state", "payloads", {})
    quiet = DynamoStore(aws[0], names, s3=aws[1], clock=clock)
    head = started(quiet)
    numbers = iter(range(10_000))

    class AlwaysTooLate:
        """A client before each of whose transactions somebody else is faster."""

        def __getattr__(self, name: str) -> Any:
            return getattr(aws[0], name)

        def transact_write_items(self, **request: Any) -> Any:
            now = quiet.head(head.ref)
            quiet.commit(intent(now, f"other-{next(numbers)}"), now)
            return aws[0].transact_write_items(**request)

    late = DynamoStore(AlwaysTooLate(), names, s3=aws[1], clock=clock)
    give_up_at = NOON + timedelta(seconds=3)
    with pytest.raises(StoreContended):
        late.commit(intent(head, "s1"), head, give_up_at=give_up_at)
    assert clock.now() < give_up_at
    assert next(numbers) > 2
    assert "s1" not in quiet.entries(head.ref)


def test_a_change_that_comes_after_its_time_still_finds_out_what_became_of_its_step(aws: tuple[Any, Any]) -> None:
    clock = ManualClock(NOON)
    store = DynamoStore(aws[0], StoreNames("journal", "state", "payloads", {}), s3=aws[1], clock=clock)
    old = started(store)
    head = store.commit(intent(old, "s1", "newer"), old)

    with pytest.raises(StepChanged):
        store.commit(intent(old, "s1", "older"), old, give_up_at=NOON - timedelta(minutes=1))

    assert store.head(head.ref) == head


def test_a_change_whose_answer_was_lost_is_not_written_twice(aws: tuple[Any, Any]) -> None:
    names = StoreNames("journal", "state", "payloads", {})
    clock = ManualClock(NOON)
    quiet = DynamoStore(aws[0], names, s3=aws[1], clock=clock)
    head = started(quiet)
    lost: list[str] = []

    class LosesAnswers:
        """A client whose first transaction is applied while its answer never comes."""

        def __getattr__(self, name: str) -> Any:
            return getattr(aws[0], name)

        def transact_write_items(self, **request: Any) -> Any:
            answer = aws[0].transact_write_items(**request)
            if not lost:
                lost.append("an answer")
                raise ReadTimeoutError(endpoint_url="dynamodb")
            return answer

    after = DynamoStore(LosesAnswers(), names, s3=aws[1], clock=clock).commit(intent(head), head)
    assert lost
    assert after == quiet.head(head.ref)
    assert [event.seq for event in quiet.events(head.ref)] == [1, 2]
