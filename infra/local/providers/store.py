"""A provider's own memory in SQLite: stock, bookings, remembered answers, tombstones and the ledger.

One connection behind a lock; every change is one ``BEGIN IMMEDIATE`` transaction. What was answered is on disk
even when the process is killed right after (write-ahead log; only a power cut could lose the last moments).
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.providers.messages import Answer, Json

_TABLES = ("answers", "records", "holdings", "stock", "revoked", "ledger")

# The ledger is the witness of what happened, so the database itself refuses to rewrite it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, what TEXT NOT NULL, answer TEXT NOT NULL, undone TEXT);
CREATE INDEX IF NOT EXISTS records_by_key ON records (key);
CREATE TABLE IF NOT EXISTS holdings (
    record INTEGER NOT NULL, item TEXT NOT NULL, units INTEGER NOT NULL, PRIMARY KEY (record, item));
CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, taken INTEGER NOT NULL DEFAULT 0, capacity INTEGER);
CREATE TABLE IF NOT EXISTS revoked (key TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, kind TEXT NOT NULL, what TEXT NOT NULL,
    at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_by_key ON ledger (key);
CREATE TRIGGER IF NOT EXISTS ledger_keeps_rows BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_keeps_words BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True)
class Record:
    """One effect that was applied: a booking, a reservation, a charge.

    ``what`` is what the ledger says of it, ``answer`` what its caller was told, ``undone`` what its undoing
    was answered.
    """

    id: int
    key: str
    what: Json
    answer: Json
    undone: Json | None


@dataclass(frozen=True)
class Stock:
    """How much of an item is taken; ``capacity`` is None where the provider's default holds."""

    item: str
    taken: int
    capacity: int | None


@dataclass(frozen=True)
class LedgerEntry:
    """One visible change of the outside world: ``kind`` is apply or undo, ``at`` seconds since 1970."""

    seq: int
    key: str
    kind: str
    what: Json
    at: float


class Transaction:
    """The reads and writes of one transaction; handed out by ``Store.transaction``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def remembered(self, key: str, *, since: float) -> tuple[str, Answer] | None:
        """The fingerprint and answer kept under a key, unless kept before ``since`` (seconds since 1970)."""
        row = self._run(
            "SELECT fingerprint, status, body FROM answers WHERE key = ? AND at >= ?", (key, since)
        ).fetchone()
        return None if row is None else (row[0], Answer(row[1], json.loads(row[2])))

    def remember(self, key: str, fingerprint: str, answer: Answer, at: float) -> None:
        """Keeps the answer that a repetition of the key will get."""
        self._run(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
            (key, fingerprint, answer.status, json.dumps(answer.body), at),
        )

    def record(self, key: str) -> Record | None:
        """The newest effect applied under a key, one that still stands before one that was undone."""
        row = self._run(
            "SELECT id, key, what, answer, undone FROM records WHERE key = ?"
            " ORDER BY undone IS NOT NULL, id DESC LIMIT 1",
            (key,),
        ).fetchone()
        if row is None:
            return None
        number, key, what, answer, undone = row
        return Record(number, key, json.loads(what), json.loads(answer), None if undone is None else json.loads(undone))

    def add_record(self, key: str, what: Json, answer: Json, holdings: Mapping[str, int], at: float) -> None:
        """Takes the holdings out of stock and writes the effect into records and ledger."""
        number = self._run(
            "INSERT INTO records (key, what, answer) VALUES (?, ?, ?)",
            (key, json.dumps(what), json.dumps(answer)),
        ).lastrowid
        for item, units in holdings.items():
            self._run("INSERT INTO holdings VALUES (?, ?, ?)", (number, item, units))
            self._run(
                "INSERT INTO stock (item, taken) VALUES (?, ?)"
                " ON CONFLICT (item) DO UPDATE SET taken = taken + excluded.taken",
                (item, units),
            )
        self._write_ledger(key, "apply", what, at)

    def undo_record(self, record: Record, answer: Json, at: float) -> None:
        """Gives the holdings back and writes the undoing into records and ledger."""
        held = self._run("SELECT item, units FROM holdings WHERE record = ?", (record.id,)).fetchall()
        for item, units in held:
            self._run("UPDATE stock SET taken = taken - ? WHERE item = ?", (units, item))
        self._run("UPDATE records SET undone = ? WHERE id = ?", (json.dumps(answer), record.id))
        self._write_ledger(record.key, "undo", record.what, at)

    def _write_ledger(self, key: str, kind: str, what: Json, at: float) -> None:
        self._run("INSERT INTO ledger (key, kind, what, at) VALUES (?, ?, ?, ?)", (key, kind, json.dumps(what), at))

    def revoked(self, key: str) -> bool:
        """Whether a key was cancelled and must never be accepted again."""
        return self._run("SELECT 1 FROM revoked WHERE key = ?", (key,)).fetchone() is not None

    def revoke(self, key: str, at: float) -> None:
        """Leaves the tombstone after which a key is refused for good."""
        self._run("INSERT OR IGNORE INTO revoked VALUES (?, ?)", (key, at))

    def stock(self, item: str) -> Stock:
        """How much of one item is taken."""
        row = self._run("SELECT item, taken, capacity FROM stock WHERE item = ?", (item,)).fetchone()
        return Stock(*row) if row else Stock(item, 0, None)

    def all_stock(self) -> list[Stock]:
        """Every item that is taken in part, or has a capacity of its own."""
        rows = self._run(
            "SELECT item, taken, capacity FROM stock WHERE taken > 0 OR capacity IS NOT NULL ORDER BY item"
        )
        return [Stock(*row) for row in rows.fetchall()]

    def set_capacity(self, item: str, capacity: int) -> None:
        """Sets how many units of an item there are, however many are taken."""
        self._run(
            "INSERT INTO stock (item, capacity) VALUES (?, ?)"
            " ON CONFLICT (item) DO UPDATE SET capacity = excluded.capacity",
            (item, capacity),
        )

    def ledger(self, key: str | None = None) -> list[LedgerEntry]:
        """Every visible effect in the order in which it happened, or those of one key."""
        columns = "SELECT seq, key, kind, what, at FROM ledger"
        if key is None:
            rows = self._run(f"{columns} ORDER BY seq").fetchall()
        else:
            rows = self._run(f"{columns} WHERE key = ? ORDER BY seq", (key,)).fetchall()
        return [LedgerEntry(row[0], row[1], row[2], json.loads(row[3]), row[4]) for row in rows]


class Store:
    """The database of one provider: a file, or memory when ``path`` is None."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing: commits at the end of the block, rolls back when it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def reset(self) -> None:
        """Forgets everything, the ledger too; its rows cannot be deleted, so the tables are dropped."""
        with self._lock:
            drops = "".join(f"DROP TABLE IF EXISTS {table};" for table in _TABLES)
            self._connection.executescript(f"BEGIN IMMEDIATE; {drops} {_SCHEMA} COMMIT;")

    def close(self) -> None:
        """Ends the connection; the store cannot be used any more."""
        with self._lock:
            self._connection.close()


def summary(entry: LedgerEntry, at: str) -> dict[str, Any]:
    """A ledger entry as JSON; ``at`` is its time written out."""
    return {"seq": entry.seq, "key": entry.key, "kind": entry.kind, "what": entry.what, "at": at}
