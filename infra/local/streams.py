"""DynamoDB Streams to Lambda: batches in the background, in order per partition key, with retries that end.

One :class:`Consumer` per event source mapping reads the records of its table's stream. Records are spread over lanes by
partition key (``ParallelizationFactor`` of them); a lane has one thread and delivers batch after batch, so records with
the same key stay in order. The mapping's settings are read anew for every batch: ``BatchSize``,
``MaximumBatchingWindowInSeconds``, ``FilterCriteria``, ``MaximumRetryAttempts``, ``MaximumRecordAgeInSeconds``,
``BisectBatchOnFunctionError``, ``FunctionResponseTypes`` and ``DestinationConfig.OnFailure``.

With a data directory the number of the record up to which everything is finished is kept there, so that what was
delivered in part when the process was killed is delivered again: at least once, as on AWS.
"""

import threading
import zlib
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from moto.awslambda.models import EventSourceMapping
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from infra.local import changes as table_changes
from infra.local.backlog import Backlog
from infra.local.changes import Change, StreamRecord
from infra.local.store import Store
from infra.local.stream_batches import BatchDelivery, consumer_name, is_stream_of
from infra.local.surroundings import ACCOUNT

_LOOK_SECONDS = 0.5
"""How soon it is seen that a mapping was enabled; records are noticed at once."""


@dataclass
class _Lane:
    """The records of some partition keys, oldest first; one thread takes them out."""

    waiting: deque[StreamRecord] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)


class Consumer:
    """One event source mapping of a table's stream, and how far it has come."""

    def __init__(self, mapping: EventSourceMapping, backlog: Backlog, store: Store | None, time_scale: float) -> None:
        self.mapping = mapping
        self.name = consumer_name(mapping)
        self.table = mapping.event_source_arn.split("/")[1]
        self._backlog, self._store, self._time_scale = backlog, store, time_scale
        self._stopping = threading.Event()
        self._lanes = [_Lane() for _ in range(int(mapping.parallelization_factor or 1))]
        self._threads: list[threading.Thread] = []
        self._progress = threading.Lock()
        self._open: set[int] = set()
        self._last_offered = 0
        self._finished_up_to: int | None = None

    def start(self, position: int) -> None:
        """Begin to deliver; records up to number ``position`` count as finished."""
        self._last_offered = self._finished_up_to = position
        for number, lane in enumerate(self._lanes):
            name = f"stream {self.name} {number}"
            thread = threading.Thread(target=self._work, args=(lane,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Finish the batch in hand and end; what is waiting stays undelivered."""
        self._stopping.set()
        for lane in self._lanes:
            with lane.changed:
                lane.changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._backlog.finish(len(self._open))
        self._open.clear()

    def offer(self, records: Sequence[StreamRecord]) -> None:
        """Take records that follow those taken before; returns at once."""
        with self._progress:
            fresh = [record for record in records if record.sequence > self._last_offered]
            if not fresh or self._stopping.is_set():
                return
            self._last_offered = fresh[-1].sequence
            self._open.update(record.sequence for record in fresh)
        self._backlog.add(len(fresh))
        for record in fresh:
            lane = self._lanes[zlib.crc32(record.partition.encode()) % len(self._lanes)]
            with lane.changed:
                lane.waiting.append(record)
                lane.changed.notify_all()

    def _work(self, lane: _Lane) -> None:
        while (batch := self._next_batch(lane)) is not None:
            delivery = BatchDelivery(self.mapping, self._stopping, self._time_scale)
            finished = delivery.deliver(batch)
            self._finish(finished)

    def _next_batch(self, lane: _Lane) -> list[StreamRecord] | None:
        """The next records of a lane, once there are enough or the batching window is over; ``None`` to end."""
        with lane.changed:
            while not (self._stopping.is_set() or (lane.waiting and self.mapping.enabled)):
                lane.changed.wait(_LOOK_SECONDS)
            window = float(self.mapping.max_batch_window or 0) * self._time_scale
            size = self.mapping.batch_size
            if window:
                lane.changed.wait_for(lambda: self._stopping.is_set() or len(lane.waiting) >= size, window)
            if self._stopping.is_set():
                return None
            return [lane.waiting.popleft() for _ in range(min(size, len(lane.waiting)))]

    def _finish(self, records: Sequence[StreamRecord]) -> None:
        with self._progress:
            self._open.difference_update(record.sequence for record in records)
            reached = min(self._open) - 1 if self._open else self._last_offered
            if self._store is not None and reached != self._finished_up_to:
                self._store.advance(self.table, self.name, reached)
            self._finished_up_to = reached
        self._backlog.finish(len(records))


class StreamPump:
    """Delivers the streams of all tables to the functions that are mapped to them.

    ``time_scale`` shortens waiting (batching windows, pauses before retries); a mapping made later is found with the
    next change of its table, and starts there or, with ``TRIM_HORIZON``, with the oldest record still readable.
    """

    def __init__(self, backlog: Backlog, store: Store | None = None, *, region: str, time_scale: float = 1.0) -> None:
        self._backlog, self._store = backlog, store
        self._region, self._time_scale = region, time_scale
        self._consumers: dict[str, Consumer] = {}
        self._undo = ExitStack()

    def start(self) -> None:
        """Begin to deliver, first what the data directory holds from before."""
        with table_changes.quiet_tables():
            for table in dynamodb_backends[ACCOUNT][self._region].tables.values():
                self._meet_consumers(table, ())
            self._undo.callback(table_changes.follow(self._on_changes))

    def stop(self) -> None:
        """Stop delivering; batches in hand are finished, the rest stays in the data directory."""
        self._undo.close()
        for consumer in self._consumers.values():
            consumer.stop()
        self._consumers.clear()

    def _on_changes(self, changes: Sequence[Change], records: Sequence[StreamRecord]) -> None:
        for table in {change.table.name: change.table for change in changes}.values():
            mine = [record for record in records if record.table == table.name]
            if not mine:
                continue
            self._meet_consumers(table, mine)
            for consumer in self._consumers.values():
                if consumer.table == table.name:
                    consumer.offer(mine)

    def _meet_consumers(self, table: Table, arriving: Sequence[StreamRecord]) -> None:
        mappings = [mapping for mapping in table.lambda_event_source_mappings.values() if is_stream_of(mapping, table)]
        new = [mapping for mapping in mappings if mapping.uuid not in self._consumers]
        if not new or table.stream_shard is None:
            return
        if self._store is not None:
            self._store.forget_consumers(table.name, [consumer_name(mapping) for mapping in mappings])
        readable: list[StreamRecord] = list(table.stream_shard.items)
        for mapping in new:
            consumer = Consumer(mapping, self._backlog, self._store, self._time_scale)
            self._consumers[mapping.uuid] = consumer
            consumer.start(self._position(table, mapping, len(arriving)))
            consumer.offer(readable)

    def _position(self, table: Table, mapping: EventSourceMapping, arriving: int) -> int:
        """Number of the last record that the mapping has nothing to do with any more."""
        name = consumer_name(mapping)
        known = self._store.cursor(table.name, name) if self._store is not None else None
        if known is None:
            following = table_changes.next_sequence(table)
            oldest = table.stream_shard.starting_sequence_number if table.stream_shard is not None else following
            known = (oldest if mapping.starting_position == "TRIM_HORIZON" else following - arriving) - 1
            if self._store is not None:
                self._store.advance(table.name, name, known)
        return known
