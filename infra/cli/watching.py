"""Following the journals of all workflows of a running system."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from urllib.parse import unquote

from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from infra.local import changes

if TYPE_CHECKING:
    from infra.local.session import LocalSession


class Watch:
    """The events that were written since the watch began, of all tenants, in the order in which they were written."""

    def __init__(self, session: "LocalSession") -> None:
        self._store = session.house.store
        self._table = session.cloud.outputs["JournalTable"]
        self._written: SimpleQueue[tuple[WorkflowRef, int]] = SimpleQueue()

    def note(self, _: Sequence[changes.Change], records: Sequence[changes.StreamRecord]) -> None:
        """Told of every write; only takes down which event it was, because writers must not wait."""
        for record in records:
            if record.table == self._table and record.event["eventName"] == "INSERT":
                keys = record.event["dynamodb"]["Keys"]
                tenant, _, workflow_id = keys["pk"]["S"].partition("#")
                self._written.put((WorkflowRef(unquote(tenant), workflow_id), int(keys["seq"]["N"])))

    def next(self, timeout: float) -> JournalEvent | None:
        """The next event, or None where none comes within ``timeout`` seconds."""
        try:
            ref, seq = self._written.get(timeout=timeout)
        except Empty:
            return None
        return self._store.event(ref, seq)


@contextmanager
def watched(session: "LocalSession") -> Iterator[Watch]:
    """Follow the journals while the block runs."""
    watch = Watch(session)
    stop = changes.follow(watch.note)
    try:
        yield watch
    finally:
        stop()
