"""With a data directory nothing acknowledged is lost: what moto holds in memory is also in a SQLite file.

Every item of every table, and every object of the named buckets, is in the file *before the call that wrote it
returns*; the changes of one call (a transaction, a batch) are one SQLite transaction, together with their stream
records. A fresh start puts everything back without announcing it again, and the stream pump goes on with the records
that were not delivered yet. One process writes; others may read along, or after its end (:func:`open_readonly`).
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from apex.errors import DataDirectoryBusy, NotFound
from infra.local import changes as table_changes
from infra.local.changes import Change, StreamRecord
from infra.local.items import item_from_wire, wire_text
from infra.local.kept_buckets import keep_buckets, restore_buckets
from infra.local.repairs import dynamodb, dynamodb_speed
from infra.local.store import FILE_NAME, Store, StoredItem, StoredRecord
from infra.local.surroundings import ACCOUNT, REGION

RETENTION_SECONDS = 24 * 3600
"""How long a stream record is kept for a consumer that does not take it, as on AWS."""
_LOCK_FILE = "writer.lock"


def _tables(region: str) -> dict[str, Table]:
    return dict(dynamodb_backends[ACCOUNT][region].tables)


def _definition(table: Table) -> dict[str, Any]:
    """The arguments of CreateTable that make such a table again."""
    definition: dict[str, Any] = {
        "TableName": table.name,
        "KeySchema": table.schema,
        "AttributeDefinitions": table.attr,
        "BillingMode": "PAY_PER_REQUEST",
    }
    for name, indexes in (("GlobalSecondaryIndexes", table.global_indexes), ("LocalSecondaryIndexes", table.indexes)):
        if indexes:
            definition[name] = [
                {"IndexName": index.name, "KeySchema": index.schema, "Projection": index.projection}
                for index in indexes
            ]
    return definition


def _lock(directory: Path) -> int:
    """Lock the directory for this process; the lock ends with the process, however it ends."""
    descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise DataDirectoryBusy(f"{directory} is in use by process {holder or 'unknown'}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


class Durability:
    """A data directory of which this process is the only writer.

    Raises ``DataDirectoryBusy`` when another process (or another object of this one) writes to it.
    """

    def __init__(self, directory: Path, *, region: str = REGION) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._region = region
        self._lock_file: int | None = _lock(directory)
        self.store = Store(directory / FILE_NAME)
        self._undo = ExitStack()
        self._described: set[str] = set()

    def attach(self, buckets: Mapping[str, str] | None = None) -> None:
        """Put back what the directory holds into moto's fresh tables and buckets, and keep every change from now on.

        ``buckets`` maps a stable logical name to the physical one: physical names may differ from start to start.
        Nothing that is put back goes to a stream.
        """
        named = dict(buckets or {})
        with table_changes.quiet_tables():
            tables = _tables(self._region)
            for table in tables.values():
                _restore_items(self.store, table)
                _restore_stream(self.store, table)
            self._describe(tables)
            self._undo.callback(table_changes.keep(self._write))
        self.store.define_buckets(named)
        restore_buckets(self.store, named)
        self._undo.callback(keep_buckets(self.store, named))

    def _describe(self, tables: Mapping[str, Table]) -> None:
        self.store.define_tables({name: _definition(table) for name, table in tables.items()})
        self._described.update(tables)

    def _write(self, changes: Sequence[Change], records: Sequence[StreamRecord]) -> None:
        unknown = {change.table.name: change.table for change in changes if change.table.name not in self._described}
        if unknown:
            self._describe(unknown)
        self.store.write(
            [
                StoredItem(
                    change.table.name, *change.key, None if change.new_wire is None else wire_text(change.new_wire)
                )
                for change in changes
            ],
            [
                StoredRecord(record.table, record.sequence, record.partition, wire_text(record.event))
                for record in records
            ],
        )

    def close(self) -> None:
        """Stop keeping, close the file and let others write to the directory."""
        if self._lock_file is None:
            return
        self._undo.close()
        self.store.close()
        os.close(self._lock_file)
        self._lock_file = None


def _restore_items(store: Store, table: Table) -> None:
    for wire in store.items(table.name):
        item = item_from_wire(table, wire)
        table_changes.place(table, item, item)


def _restore_stream(store: Store, table: Table) -> None:
    last = store.last_sequence(table.name)
    if last is None or table.stream_shard is None:
        return
    kept = [record for record in _records(store, table.name) if record.created > time.time() - RETENTION_SECONDS]
    store.drop_records_before(table.name, kept[0].sequence if kept else last + 1)
    table_changes.continue_stream(table, last, kept)


def _records(store: Store, table: str) -> list[StreamRecord]:
    return [
        StreamRecord(table, record.sequence, record.partition, json.loads(record.event))
        for record in store.records(table)
    ]


# ── reading along ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a data directory held when it was opened: physical names of its tables, of its buckets by logical name."""

    tables: tuple[str, ...]
    buckets: Mapping[str, str]


@contextmanager
def open_readonly(directory: Path, *, region: str = REGION) -> Iterator[Snapshot]:
    """Serve the tables and buckets of a data directory to boto3 for as long as the block runs.

    Takes no lock and writes nothing, so it works while another process writes and after one was killed. Later changes
    of the directory do not show. Raises ``NotFound`` when the directory holds no data.
    """
    file = directory / FILE_NAME
    if not file.is_file():
        raise NotFound(f"there is no data in {directory}")
    with ExitStack() as undo:
        store = Store(file, read_only=True)
        undo.callback(store.close)
        undo.enter_context(mock_aws())
        for repair in (*dynamodb.REPAIRS, *dynamodb_speed.REPAIRS):
            undo.callback(repair.install())
        client = boto3.client("dynamodb", region_name=region)
        for definition in store.tables().values():
            client.create_table(**definition)
        for table in _tables(region).values():
            _restore_items(store, table)
        buckets = store.buckets()
        storage = boto3.client("s3", region_name=region)
        for physical in buckets.values():
            storage.create_bucket(Bucket=physical)
        restore_buckets(store, buckets)
        yield Snapshot(tuple(store.tables()), buckets)
