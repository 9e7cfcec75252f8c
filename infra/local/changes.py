"""Every DynamoDB call of the local cloud is one operation: all of it happens, or none of it.

moto changes its tables item by item. Here the changes of one call are collected under one lock; at its end they are
handed first to those who keep them (:mod:`infra.local.durability`), then to those who deliver them
(:mod:`infra.local.streams`). If the call fails, or keeping its changes fails, the tables are put back as they were and
the caller gets the error. The one place of moto through which each change passes is ``StreamShard.add(old, new)``;
:mod:`infra.local.repairs.dynamodb` leads it here.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table

from infra.local.ids import request_id
from infra.local.items import Wire, attribute_to_wire, item_bytes, item_to_wire, key_text

_RETAINED = 10_000
"""Stream records that stay readable through GetRecords; older ones are let go, as AWS does after 24 hours."""


@dataclass(frozen=True)
class Change:
    """One item before and after an operation; ``None`` stands for "there is no item"."""

    table: Table
    old: Item | None
    new: Item | None

    @property
    def item(self) -> Item:
        """The item after the change, or before it if it is gone now."""
        item = self.new if self.new is not None else self.old
        if item is None:
            raise ValueError("a change has an item before or after it")
        return item

    @property
    def key(self) -> tuple[str, str]:
        """Partition and sort key as text; the sort key is empty in a table without one."""
        return key_text(self.item.hash_key), key_text(self.item.range_key)

    @cached_property
    def new_wire(self) -> dict[str, Wire] | None:
        """The new item in wire form."""
        return None if self.new is None else item_to_wire(self.new)

    @property
    def alters(self) -> bool:
        """Whether anything is different now: writing an item as it was is no change to a stream."""
        if self.old is None or self.new is None:
            return self.old is not self.new
        return bool(self.old.attrs != self.new.attrs)


@dataclass(frozen=True)
class StreamRecord:
    """One record of a table's stream.

    ``sequence`` grows by one from record to record of the table; ``partition`` is the partition key as text; ``event``
    is the record as Lambda receives it, except for the ARN of the stream.
    """

    table: str
    sequence: int
    partition: str
    event: dict[str, Any]

    @property
    def created(self) -> float:
        """When the change was made, in Unix seconds."""
        return float(self.event["dynamodb"]["ApproximateCreationDateTime"])

    def to_json(self) -> dict[str, Any]:
        """The form in which moto's GetRecords wants it."""
        moment = datetime.fromtimestamp(self.created, UTC)
        return {**self.event, "dynamodb": {**self.event["dynamodb"], "ApproximateCreationDateTime": moment}}


def _stream_record(change: Change, sequence: int) -> StreamRecord:
    table, item = change.table, change.item
    view = (table.stream_specification or {}).get("StreamViewType", "KEYS_ONLY")
    keys = {table.hash_key_attr: attribute_to_wire(item.hash_key)}
    if table.range_key_attr and item.range_key is not None:
        keys[table.range_key_attr] = attribute_to_wire(item.range_key)
    described: dict[str, Any] = {
        "ApproximateCreationDateTime": round(time.time(), 3),
        "Keys": keys,
        "SequenceNumber": str(sequence),
        "SizeBytes": item_bytes(change.old) + item_bytes(change.new),
        "StreamViewType": view,
    }
    if view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES") and change.new_wire is not None:
        described["NewImage"] = change.new_wire
    if view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES") and change.old is not None:
        described["OldImage"] = item_to_wire(change.old)
    event = {
        "eventID": request_id().replace("-", ""),
        "eventName": "INSERT" if change.old is None else "REMOVE" if change.new is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": table.region_name,
        "dynamodb": described,
    }
    return StreamRecord(table.name, sequence, change.key[0], event)


Listener = Callable[[Sequence[Change], Sequence[StreamRecord]], None]


class Operation:
    """The changes of one DynamoDB call, one per item, in the order in which the items were first changed."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, tuple[str, str]], Change] = {}

    @property
    def changes(self) -> list[Change]:
        """What changed so far."""
        return list(self._changes.values())

    def record(self, table: Table, old: Item | None, new: Item | None) -> None:
        """Note that ``new`` took the place of ``old``; neither may be altered in place afterwards."""
        change = Change(table, old, new)
        name = (table.name, change.key)
        first = self._changes.get(name)
        self._changes[name] = change if first is None else Change(table, first.old, new)

    def commit(self) -> None:
        """Hand the changes to the keepers, then to the followers; what a keeper raises reaches the caller."""
        if not self._changes:
            return
        changes, records = self.changes, self._stream_records()
        for keeper in tuple(_keepers):
            keeper(changes, records)
        for table in {change.table.name: change.table for change in changes}.values():
            _publish(table, [record for record in records if record.table == table.name])
        for follower in tuple(_followers):
            follower(changes, records)

    def _stream_records(self) -> list[StreamRecord]:
        following: dict[str, int] = {}
        records = []
        for change in self._changes.values():
            if not is_streamed(change.table) or not change.alters:
                continue
            sequence = following.get(change.table.name) or next_sequence(change.table)
            following[change.table.name] = sequence + 1
            records.append(_stream_record(change, sequence))
        return records

    def undo(self) -> None:
        """Put every changed item back to what it was before the operation."""
        for change in reversed(self._changes.values()):
            place(change.table, change.item, change.old)


# ── tables and their streams ────────────────────────────────────────────────────────────────────────────────


def is_streamed(table: Table) -> bool:
    """Whether changes of the table go to a stream."""
    return bool(table.stream_specification and table.stream_specification.get("StreamEnabled"))


def next_sequence(table: Table) -> int:
    """The sequence number that the next record of the table's stream gets."""
    shard = table.stream_shard
    return 0 if shard is None else shard.starting_sequence_number + len(shard.items)


def continue_stream(table: Table, last: int, readable: list[StreamRecord]) -> None:
    """Let the stream of a fresh table go on after number ``last``, with the records that can still be read."""
    if table.stream_shard is not None:
        table.stream_shard.starting_sequence_number = readable[0].sequence if readable else last + 1
        table.stream_shard.items = list(readable)


def _publish(table: Table, records: list[StreamRecord]) -> None:
    shard = table.stream_shard
    if shard is None or not records:
        return
    shard.items.extend(records)  # moto asks no more of a record than to_json()
    if len(shard.items) > _RETAINED:
        surplus = len(shard.items) - _RETAINED // 2
        shard.starting_sequence_number += surplus
        del shard.items[:surplus]


def place(table: Table, where: Item, item: Item | None) -> None:
    """Put ``item`` under the key of ``where``, or leave nothing there; nobody is told."""
    partition, sort = where.hash_key, where.range_key
    if sort is None:
        if item is None:
            table.items.pop(partition, None)
        else:
            table.items[partition] = item  # moto: without a sort key, the item itself
        return
    if item is not None:
        table.items[partition][sort] = item
    elif (held := table.items.get(partition)) is not None:
        held.pop(sort, None)
        if not held:
            del table.items[partition]


# ── one operation at a time ─────────────────────────────────────────────────────────────────────────────────

_lock = threading.RLock()
_running: list[Operation] = []  # at most one, and only the holder of the lock looks at it
_keepers: list[Listener] = []
_followers: list[Listener] = []


class operation:
    """Runs one DynamoDB call: alone, and as a whole. A call made within another one becomes part of it."""

    __slots__ = ("_started",)

    def __enter__(self) -> Operation:
        _lock.acquire()
        self._started: Operation | None = None
        if not _running:
            self._started = Operation()
            _running.append(self._started)
        return _running[0]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if self._started is not None:
                self._end(self._started, failed=error is not None)
        finally:
            _lock.release()

    @staticmethod
    def _end(started: Operation, *, failed: bool) -> None:
        try:
            if failed:
                started.undo()
                return
            try:
                started.commit()
            except BaseException:
                started.undo()
                raise
        finally:
            _running.pop()


def keep(listener: Listener) -> Callable[[], None]:
    """Hand every operation's changes to ``listener`` before the call returns; if it raises, the call fails.

    Returns the function that ends this. The listener runs under the lock: it must not call AWS.
    """
    return _subscribe(_keepers, listener)


def follow(listener: Listener) -> Callable[[], None]:
    """Hand every operation's changes to ``listener`` once they are kept; it must neither raise nor wait.

    Returns the function that ends this.
    """
    return _subscribe(_followers, listener)


def _subscribe(listeners: list[Listener], listener: Listener) -> Callable[[], None]:
    with _lock:
        listeners.append(listener)

    def unsubscribe() -> None:
        with _lock:
            if listener in listeners:
                listeners.remove(listener)

    return unsubscribe


@contextmanager
def quiet_tables() -> Iterator[None]:
    """Hold all DynamoDB calls back for as long as the block runs."""
    with _lock:
        yield
