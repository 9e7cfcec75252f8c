"""The SQLite file of a data directory: items, objects, stream records not yet delivered, and how far consumers are.

Write-ahead logging with ``synchronous=NORMAL``: what was committed is in the operating system's hands, so it survives
the end of the process at any moment, SIGKILL included. (A crash of the whole machine may cost the last moments, but
never the file's consistency.)
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "apex.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, definition TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    table_name TEXT NOT NULL, partition TEXT NOT NULL, sort TEXT NOT NULL, item TEXT NOT NULL,
    PRIMARY KEY (table_name, partition, sort));
CREATE TABLE IF NOT EXISTS buckets (logical TEXT PRIMARY KEY, physical TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, metadata TEXT NOT NULL, PRIMARY KEY (bucket, key));
CREATE TABLE IF NOT EXISTS streams (table_name TEXT PRIMARY KEY, last_sequence TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    table_name TEXT NOT NULL, sequence TEXT NOT NULL, partition TEXT NOT NULL, event TEXT NOT NULL,
    PRIMARY KEY (table_name, sequence));
CREATE TABLE IF NOT EXISTS cursors (
    table_name TEXT NOT NULL, consumer TEXT NOT NULL, sequence TEXT NOT NULL, PRIMARY KEY (table_name, consumer));
CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, work TEXT NOT NULL);
"""


def _digits(sequence: int) -> str:
    """A sequence number as text that sorts like the number; they are larger than SQLite's integers."""
    return f"{sequence:040d}"


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item to write; ``item`` is its wire form as text, or ``None`` to remove it."""

    table: str
    partition: str
    sort: str
    item: str | None


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One stream record; ``event`` is its text."""

    table: str
    sequence: int
    partition: str
    event: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a bucket; ``metadata`` holds its headers (content type, user metadata)."""

    bucket: str
    key: str
    body: bytes
    metadata: dict[str, str]


class Store:
    """One connection to the file, shared by all threads; every method is one SQLite transaction."""

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self._lock = threading.Lock()
        target = f"{file.absolute().as_uri()}?mode=ro" if read_only else str(file)
        self._connection = sqlite3.connect(
            target, uri=read_only, isolation_level=None, check_same_thread=False, timeout=30
        )
        if not read_only:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; what was written is in it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    # ── tables and their items ──────────────────────────────────────────────────────────────────────────────

    def define_tables(self, definitions: dict[str, dict[str, Any]]) -> None:
        """Remember how tables are made (the arguments of CreateTable), by name."""
        rows = [(name, json.dumps(definition)) for name, definition in definitions.items()]
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO tables VALUES (?, ?)", rows)

    def tables(self) -> dict[str, dict[str, Any]]:
        """The arguments of CreateTable of every table, by name."""
        return {name: json.loads(text) for name, text in self._rows("SELECT name, definition FROM tables")}

    def write(self, items: Iterable[StoredItem], records: Iterable[StoredRecord]) -> None:
        """Write the items and append the stream records of one operation: all of them or none."""
        with self._transaction() as connection:
            for row in items:
                key = (row.table, row.partition, row.sort)
                if row.item is None:
                    connection.execute("DELETE FROM items WHERE table_name=? AND partition=? AND sort=?", key)
                else:
                    connection.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", (*key, row.item))
            for record in records:
                connection.execute(
                    "INSERT INTO records VALUES (?, ?, ?, ?)",
                    (record.table, _digits(record.sequence), record.partition, record.event),
                )
                connection.execute(
                    "INSERT OR REPLACE INTO streams VALUES (?, ?)", (record.table, _digits(record.sequence))
                )

    def items(self, table: str) -> Iterator[dict[str, Any]]:
        """Every item of a table in wire form."""
        for (text,) in self._rows("SELECT item FROM items WHERE table_name=?", table):
            yield json.loads(text)

    # ── streams ─────────────────────────────────────────────────────────────────────────────────────────────

    def last_sequence(self, table: str) -> int | None:
        """Number of the last record that the table's stream ever had."""
        rows = self._rows("SELECT last_sequence FROM streams WHERE table_name=?", table)
        return int(rows[0][0]) if rows else None

    def records(self, table: str) -> list[StoredRecord]:
        """The records of a table's stream that are still kept, oldest first."""
        rows = self._rows("SELECT sequence, partition, event FROM records WHERE table_name=? ORDER BY sequence", table)
        return [StoredRecord(table, int(sequence), partition, event) for sequence, partition, event in rows]

    def cursor(self, table: str, consumer: str) -> int | None:
        """Number of the record up to which a consumer has finished; ``None`` if it is not known yet."""
        rows = self._rows("SELECT sequence FROM cursors WHERE table_name=? AND consumer=?", table, consumer)
        return int(rows[0][0]) if rows else None

    def advance(self, table: str, consumer: str, sequence: int) -> None:
        """Note how far a consumer is, and let go of the records that every consumer of the table has finished."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (table, consumer, _digits(sequence)))
            connection.execute(
                "DELETE FROM records WHERE table_name=?1 AND sequence <= "
                "(SELECT min(sequence) FROM cursors WHERE table_name=?1)",
                (table,),
            )

    def forget_consumers(self, table: str, existing: Iterable[str]) -> None:
        """Drop the cursors of consumers that are no more: they would hold records back for ever."""
        known = {str(row[0]) for row in self._rows("SELECT consumer FROM cursors WHERE table_name=?", table)}
        with self._transaction() as connection:
            for consumer in known - set(existing):
                connection.execute("DELETE FROM cursors WHERE table_name=? AND consumer=?", (table, consumer))

    def drop_records_before(self, table: str, sequence: int) -> None:
        """Let go of the records before ``sequence``, delivered or not."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM records WHERE table_name=? AND sequence<?", (table, _digits(sequence)))

    # ── events on their way ─────────────────────────────────────────────────────────────────────────────────

    def add_delivery(self, identity: str, work: str) -> None:
        """Keep a delivery that was accepted until it is removed."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?)", (identity, work))

    def remove_delivery(self, identity: str) -> None:
        """Let go of a delivery that is done."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM deliveries WHERE id=?", (identity,))

    def deliveries(self) -> list[tuple[str, str]]:
        """The deliveries that are not done, with their ids, oldest first."""
        return [
            (str(identity), str(work))
            for identity, work in self._rows("SELECT id, work FROM deliveries ORDER BY rowid")
        ]

    # ── buckets ─────────────────────────────────────────────────────────────────────────────────────────────

    def define_buckets(self, buckets: dict[str, str]) -> None:
        """Remember the physical names of buckets, by logical name."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO buckets VALUES (?, ?)", list(buckets.items()))

    def buckets(self) -> dict[str, str]:
        """The physical names that the buckets had last, by logical name."""
        return dict(self._rows("SELECT logical, physical FROM buckets"))

    def put_object(self, stored: StoredObject) -> None:
        """Write one object."""
        row = (stored.bucket, stored.key, stored.body, json.dumps(stored.metadata))
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", row)

    def delete_object(self, bucket: str, key: str) -> None:
        """Remove one object; nothing happens if it is not there."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM objects WHERE bucket=? AND key=?", (bucket, key))

    def objects(self, bucket: str) -> list[StoredObject]:
        """Every object of a bucket (by its logical name)."""
        rows = self._rows("SELECT key, body, metadata FROM objects WHERE bucket=? ORDER BY key", bucket)
        return [StoredObject(bucket, key, bytes(body), json.loads(metadata)) for key, body, metadata in rows]
