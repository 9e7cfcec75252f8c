"""The journal and the effect ledger behind one door, because every change of the one is recorded in the other.

A use case reads, decides with pure functions, and commits a ``Change``. The store writes all of it or nothing, gives
the events the next sequence numbers, and checks the expectations *where the write happens*.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from apex.schema.events import EventBase, JournalEvent
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Entry, Head, Mode
from apex.schema.plan import Plan, Step

EventDraft = EventBase
"""An event whose ``seq`` is still 0."""


@dataclass(frozen=True, slots=True)
class EntryWrite:
    """A ledger entry before and after. The write holds only while the stored entry still has the state and attempt id
    of
    ``before`` (None: while there is none)."""

    before: Entry | None
    after: Entry
    starts: bool = False
    """Stamp ``after.started_seq`` with the sequence number of the change's first event."""


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """A row in a table that a tool owns, written together with the tool's ledger change.

    ``item`` None deletes the row. ``must_be_new`` refuses to overwrite one.
    """

    table: str
    tenant: str
    key: str
    item: dict[str, Any] | None
    must_be_new: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that one decision writes, and what must still be true when it is written."""

    ref: WorkflowRef
    events: tuple[EventDraft, ...]
    modes: frozenset[Mode] | None = None
    """The head must be in one of these; None: in any."""
    generation: int | None = None
    """The head must be of this generation; None: of any."""
    entries: tuple[EntryWrite, ...] = ()
    records: tuple[RecordWrite, ...] = ()
    head: dict[str, Any] = field(default_factory=dict)
    """Fields of the head to set, such as ``mode``, ``generation``, ``plan_id``, ``failure``."""

    def __post_init__(self) -> None:
        """A change without an event would leave no trace in the journal: ``ValueError``."""
        if not self.events:
            raise ValueError("a change of the ledger is recorded by at least one event")


@dataclass(frozen=True, slots=True)
class StepView:
    """What the runtime reads before it decides about one step."""

    head: Head
    spec: Step | None
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A workflow about to exist: its head, its goal and its first event."""

    head: Head
    received: EventDraft
    plan: Plan | None = None


class WorkflowStore(Protocol):
    """Journal and effect ledger of all tenants. Every method may raise ``StoreError``; unknown ids raise
    ``WorkflowNotFound``."""

    def create(self, new: NewWorkflow) -> Head | None:
        """Write head and first event. Answers None when written, and the stored head where the workflow already
        exists."""
        ...

    def head(self, ref: WorkflowRef) -> Head:
        """The head as it is now."""
        ...

    def submitted_plan(self, ref: WorkflowRef) -> Plan | None:
        """The plan that came with the goal, if one did."""
        ...

    def put_plan(self, ref: WorkflowRef, steps: Sequence[Step], *, revision: int = 0) -> None:
        """Store the steps' specifications, before any event refers to them. Storing the same ones again changes
        nothing.

        A later revision of the plan sorts behind the earlier ones.
        """
        ...

    def steps(self, ref: WorkflowRef) -> list[Step]:
        """The specifications of all steps of all plan revisions, in the order in which they were stored."""
        ...

    def view(self, ref: WorkflowRef, step_id: str) -> StepView:
        """Head, specification and ledger entry of one step: one consistent-read round trip."""
        ...

    def entries(self, ref: WorkflowRef, step_ids: Sequence[str] | None = None) -> dict[str, Entry]:
        """Ledger entries by step id (all of them, or those named); steps without one are absent."""
        ...

    def commit(self, change: Change, head: Head, *, give_up_at: datetime | None = None) -> Head:
        """Write the change, starting from the head that the caller read; answers the head after it.

        Other writers of the same workflow are waited out with full jitter until ``give_up_at`` (then
        ``StoreContended``). Raises ``HeadChanged`` where mode or generation are not as expected, ``StepChanged``
        where a ledger entry is not.
        """
        ...

    def event(self, ref: WorkflowRef, seq: int) -> JournalEvent:
        """The journal event with that sequence number; ``WorkflowNotFound`` where there is none."""
        ...

    def events(self, ref: WorkflowRef, after: int = 0) -> Iterator[JournalEvent]:
        """The journal from sequence number ``after + 1`` on, in order."""
        ...

    def workflows(self, tenant: str, *, limit: int = 50) -> list[Head]:
        """The newest workflows of a tenant, newest first."""
        ...

    def open_workflows(self, *, limit: int = 200) -> list[WorkflowRef]:
        """Workflows of all tenants that have not ended, oldest first: for the janitor alone."""
        ...

    def read_record(self, table: str, tenant: str, key: str) -> dict[str, Any] | None:
        """A row of a table that a tool owns, or None."""
        ...

    def put_record(self, write: RecordWrite) -> None:
        """Write a row of a table that a tool owns, outside any workflow: for data that was there before. Raises
        ``Conflict`` where ``must_be_new`` and it is there."""
        ...
