"""Reading the journal's stream: which record is which event of whose workflow, and what becomes of one that is none.

A record that cannot be read today cannot be read tomorrow either: it is set aside for a person at once, so that it
holds up nothing behind it. Whatever may go better next time (a table, a bucket, the bus that does not answer) is left
to the stream, which delivers the record again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from apex.adapters.dynamodb.items import Items
from apex.adapters.dynamodb.tables import workflow_of
from apex.app.requests import describe
from apex.errors import JournalCorrupt, StoreError
from apex.observability import Fields, bind, count, logger_for, metrics_of
from apex.ports.instances import DeadLetters
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef

UNREADABLE = (ValidationError, JournalCorrupt, KeyError, ValueError)
"""What reading or folding a record raises that will be raised again."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One record that could be read. ``number`` is the stream's own sequence number, by which failures are reported."""

    number: str
    ref: WorkflowRef
    event: JournalEvent


class Batch:
    """The records of one delivery, and which of them have to come again."""

    def __init__(
        self, service: str, records: Sequence[dict[str, Any]], items: Items, dead_letters: DeadLetters
    ) -> None:
        self._service = service
        self._logger = logger_for(service)
        self._dead_letters = dead_letters
        self._failed: list[str] = []
        self.arrived: list[Arrived] = []
        for record in records:
            if record["eventName"] == "INSERT":
                self._read(record, items)

    def _read(self, record: dict[str, Any], items: Items) -> None:
        number = record["dynamodb"]["SequenceNumber"]
        ref = _workflow(record)
        try:
            event = items.read_event(record["dynamodb"]["NewImage"])
            if ref is None or (event.tenant_id, event.workflow_id) != (ref.tenant, ref.workflow_id):
                raise ValueError("the record's key and its event name different workflows")
        except UNREADABLE as problem:
            self.set_aside(number, ref, problem, keys=record["dynamodb"].get("Keys", {}))
        except StoreError as error:
            self.come_again(number, ref, error)
        else:
            self.arrived.append(Arrived(number, ref, event))

    def set_aside(self, number: str, ref: WorkflowRef | None, problem: Exception, **told: Any) -> None:
        """The record is for a person; where even that fails it comes again."""
        reason = _reason(problem)
        try:
            self._dead_letters.set_aside({"service": self._service, "record": number, "reason": reason, **told})
        except StoreError as error:
            self.come_again(number, ref, error)
            return
        with self.on_behalf_of(ref):
            self._logger.error("set aside", extra={"record": number, "reason": reason})
            count("RecordSetAside")

    def come_again(self, number: str, ref: WorkflowRef | None, error: Exception) -> None:
        """The record, and by the stream's rules all behind it, is delivered once more."""
        self._failed.append(number)
        with self.on_behalf_of(ref):
            self._logger.warning("comes again", extra={"record": number, "reason": f"{type(error).__name__}: {error}"})
            count("RecordComesAgain")

    @contextmanager
    def on_behalf_of(self, ref: WorkflowRef | None) -> Iterator[None]:
        """A batch holds the events of many tenants: what is logged and counted inside is said of one of them alone."""
        fields = Fields() if ref is None else Fields(tenant=ref.tenant, workflow_id=ref.workflow_id)
        with bind(**fields), metrics_of(self._service):
            yield

    def answer(self) -> dict[str, Any]:
        """``{batchItemFailures}``, as an event source mapping wants it."""
        return {"batchItemFailures": [{"itemIdentifier": number} for number in self._failed]}


def _reason(problem: Exception) -> str:
    """Why, without the content itself: that is the customer's, and stays in the journal."""
    if isinstance(problem, ValidationError):
        places = {".".join(str(part) for part in error["loc"]) or "the whole" for error in problem.errors()}
        return f"it is no event that this version knows: {', '.join(sorted(places))} does not fit"[:500]
    return describe(problem)


def _workflow(record: dict[str, Any]) -> WorkflowRef | None:
    try:
        return workflow_of(record["dynamodb"]["Keys"]["pk"]["S"])
    except (KeyError, TypeError):
        return None
