"""The workflow store in memory: one lock, plain dicts, the same conditions as the real one."""

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from heapq import nlargest
from typing import Any

from apex.errors import Conflict, HeadChanged, InvalidInput, StepChanged, WorkflowNotFound
from apex.ports.store import Change, EntryWrite, NewWorkflow, RecordWrite, StepView
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Entry, Head
from apex.schema.plan import Plan, Step
from apex.schema.wire import FrozenDict, FrozenList, freeze, thaw

_ORDERS_PER_REVISION = 100_000


class MemoryStore:
    """``WorkflowStore`` for one process, safe to share between threads.

    What is handed in is frozen before it is kept, so nobody changes it afterwards through a reference of his own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heads: dict[WorkflowRef, Head] = {}
        self._journals: dict[WorkflowRef, list[JournalEvent]] = {}
        self._submitted: dict[WorkflowRef, Plan] = {}
        self._steps: dict[WorkflowRef, dict[str, tuple[int, Step]]] = {}
        self._entries: dict[WorkflowRef, dict[str, Entry]] = {}
        self._records: dict[tuple[str, str, str], Any] = {}

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, new: NewWorkflow) -> Head | None:
        """Write head and first event, unless the workflow exists: then answer its head."""
        ref = _checked(new.head.ref)
        with self._lock:
            if ref in self._heads:
                return self._heads[ref]
            self._heads[ref] = new.head.model_copy(update={"seq": 1})
            self._journals[ref] = [_numbered(new.received, 1)]
            if new.plan is not None:
                self._submitted[ref] = new.plan
        return None

    def put_plan(self, ref: WorkflowRef, steps: Sequence[Step], *, revision: int = 0) -> None:
        """Store the steps' specifications; those of a later revision come after those of an earlier one."""
        first = revision * _ORDERS_PER_REVISION
        with self._lock:
            stored = self._steps.setdefault(_checked(ref), {})
            stored.update({step.id: (first + at, step) for at, step in enumerate(steps)})

    def commit(self, change: Change, head: Head, *, give_up_at: datetime | None = None) -> Head:  # noqa: ARG002
        """Write all of the change or nothing. Nobody is waited for, so ``give_up_at`` has no meaning here."""
        ref = _checked(change.ref)
        with self._lock:
            before = self._head(ref)
            entries = self._entries.setdefault(ref, {})
            _check_head(change, before)
            for write in change.entries:
                _check_entry(write, entries.get(write.after.step_id))
            for record in change.records:
                self._check_record(record)
            prepared = {_record_key(record): freeze(record.item) for record in change.records}

            first = before.seq + 1
            events = [_numbered(event, first + at) for at, event in enumerate(change.events)]
            after = before.model_copy(update={**change.head, "seq": before.seq + len(events)})
            entries.update({write.after.step_id: _stored(write, first) for write in change.entries})
            self._journals[ref] += events
            self._put_records(prepared)
            self._heads[ref] = after
            return after

    def put_record(self, write: RecordWrite) -> None:
        """Write a tool's own row outside any workflow; raises ``Conflict`` where it must be new and is not."""
        with self._lock:
            self._check_record(write)
            self._put_records({_record_key(write): freeze(write.item)})

    def _check_record(self, write: RecordWrite) -> None:
        if write.must_be_new and _record_key(write) in self._records:
            raise Conflict("a row of that key exists already")

    def _put_records(self, prepared: dict[tuple[str, str, str], Any]) -> None:
        for key, item in prepared.items():
            if item is None:
                self._records.pop(key, None)
            else:
                self._records[key] = item

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def head(self, ref: WorkflowRef) -> Head:
        """The head as it is now."""
        with self._lock:
            return self._head(_checked(ref))

    def _head(self, ref: WorkflowRef) -> Head:
        if ref not in self._heads:
            raise WorkflowNotFound(f"there is no workflow {ref.workflow_id}")
        return self._heads[ref]

    def submitted_plan(self, ref: WorkflowRef) -> Plan | None:
        """The plan that came with the goal, if one did."""
        with self._lock:
            return self._submitted.get(_checked(ref))

    def steps(self, ref: WorkflowRef) -> list[Step]:
        """All specifications, in plan order."""
        with self._lock:
            stored = list(self._steps.get(_checked(ref), {}).values())
        return [step for _, step in sorted(stored, key=lambda item: item[0])]

    def view(self, ref: WorkflowRef, step_id: str) -> StepView:
        """Head, specification and ledger entry of one step, as of one moment."""
        with self._lock:
            head = self._head(_checked(ref))
            spec = self._steps.get(ref, {}).get(step_id)
            return StepView(head, spec[1] if spec else None, self._entries.get(ref, {}).get(step_id))

    def entries(self, ref: WorkflowRef, step_ids: Sequence[str] | None = None) -> dict[str, Entry]:
        """Ledger entries by step id."""
        with self._lock:
            stored = self._entries.get(_checked(ref), {})
            wanted = stored if step_ids is None else step_ids
            return {step_id: stored[step_id] for step_id in wanted if step_id in stored}

    def event(self, ref: WorkflowRef, seq: int) -> JournalEvent:
        """One event of the journal; raises ``WorkflowNotFound`` where there is none of that number."""
        with self._lock:
            journal = self._journals.get(_checked(ref), [])
            if not 1 <= seq <= len(journal):
                raise WorkflowNotFound(f"workflow {ref.workflow_id} has no event {seq}")
            return journal[seq - 1]

    def events(self, ref: WorkflowRef, after: int = 0) -> Iterator[JournalEvent]:
        """The journal in order, as of now."""
        with self._lock:
            return iter(self._journals.get(_checked(ref), [])[max(0, after) :])

    def workflows(self, tenant: str, *, limit: int = 50) -> list[Head]:
        """The tenant's newest workflows, newest first."""
        if not tenant:
            raise InvalidInput("the tenant is empty")
        with self._lock:
            heads = [head for ref, head in self._heads.items() if ref.tenant == tenant]
        return nlargest(limit, heads, key=lambda head: (head.created_at, head.workflow_id))

    def open_workflows(self, *, limit: int = 200) -> list[WorkflowRef]:
        """Workflows of all tenants that have not ended, oldest first."""
        with self._lock:
            heads = [head for head in self._heads.values() if not head.mode.is_final]
        return [head.ref for head in sorted(heads, key=lambda head: (head.created_at, head.workflow_id))[:limit]]

    def read_record(self, table: str, tenant: str, key: str) -> dict[str, Any] | None:
        """A copy of a tool's own row, or None."""
        with self._lock:
            item = self._records.get((table, tenant, key))
        copy: dict[str, Any] | None = thaw(item)
        return copy


def _checked(ref: WorkflowRef) -> WorkflowRef:
    if not ref.tenant:
        raise InvalidInput("the tenant is empty")
    return ref


def _check_head(change: Change, head: Head) -> None:
    seen = {"mode": head.mode.value, "generation": head.generation}
    if change.modes is not None and head.mode not in change.modes:
        raise HeadChanged(f"the workflow is {head.mode.value}", **seen)
    if change.generation is not None and head.generation != change.generation:
        raise HeadChanged(f"generation {change.generation} was superseded by {head.generation}", **seen)


def _check_entry(write: EntryWrite, stored: Entry | None) -> None:
    believed = None if write.before is None else (write.before.state, write.before.attempt_id)
    if believed != (None if stored is None else (stored.state, stored.attempt_id)):
        step = write.after.step_id
        raise StepChanged(f"step {step} was changed by another attempt", step_id=step)


def _stored(write: EntryWrite, first_seq: int) -> Entry:
    """The entry to keep. Copies made with ``model_copy`` skip the field types' freezing, so it is done here."""
    update: dict[str, Any] = {"started_seq": first_seq} if write.starts else {}
    for name in ("input", "result"):
        value = getattr(write.after, name)
        if isinstance(value, (dict, list, tuple)) and not isinstance(value, (FrozenDict, FrozenList)):
            update[name] = freeze(value)
    return write.after.model_copy(update=update) if update else write.after


def _numbered(event: Any, seq: int) -> JournalEvent:
    numbered: JournalEvent = event.model_copy(update={"seq": seq})
    return numbered


def _record_key(record: RecordWrite) -> tuple[str, str, str]:
    return record.table, record.tenant, record.key
