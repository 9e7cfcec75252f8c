"""What flights, hotels and payments have in common: idempotency keys, probing and undoing by key, tombstones.

The rules, for a run key K:

* the same key with the same request gets the first answer again, refusals too; with another request, 422;
* that memory lasts ``key_window_seconds``. Afterwards the key is new, and a repetition is a second effect;
* undoing by K works without the answer to the run. It is done once; asking again changes nothing;
* undoing leaves a tombstone: if there was nothing to undo (404), or once the memory has faded, K is refused
  for good;
* the effect itself keeps its reference, so that probing and undoing by K work after the window too.
"""

import datetime as dt
import hashlib
import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from infra.local.providers import fields
from infra.local.providers.faults import Faults
from infra.local.providers.messages import Answer, Json, Refusal, Request
from infra.local.providers.store import Record, Store, Transaction, summary

DEFAULT_KEY_WINDOW_SECONDS = 24 * 3600.0
LONGEST_KEY = 255
_A_CENTURY = 100 * 366 * 24 * 3600.0
_EVERYTHING = "*"  # the stock row that holds the capacity of all items without one of their own

Operation = Callable[[Request], Answer]


@dataclass(frozen=True)
class Route:
    """A path with ``{named}`` parts; ``operation`` is its name for faults, None where there are none."""

    method: str
    path: str
    run: Operation
    operation: str | None = None


@dataclass(frozen=True)
class Effect:
    """What a request brings about: its answer, its ledger entry, the units it takes of which items."""

    answer: Json
    ledger: Json
    holdings: Mapping[str, int]


@dataclass(frozen=True)
class Words:
    """How this provider calls the common things, in paths, faults and statuses."""

    collection: str
    apply: str
    undo: str
    applied: str
    undone: str
    refused: str = "refused"
    searches: tuple[str, ...] = field(default=())

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that can be given faults."""
        return (*self.searches, self.apply, "probe", self.undo)


class Provider(ABC):
    """One service with its store, its faults and its clock; ``handle`` is safe to call from many threads."""

    name: ClassVar[str]
    words: ClassVar[Words]
    starts_with: ClassVar[Mapping[str, int]] = {}
    """Capacities of a new or reset provider."""
    probe_tells_answer: ClassVar[bool] = True
    """Whether a probe repeats the answer of an effect that stands, or tells its status only."""

    def __init__(self, store: Store, *, key_window_seconds: float = DEFAULT_KEY_WINDOW_SECONDS) -> None:
        self.store = store
        self.faults = Faults(self.words.operations)
        self._default_window = key_window_seconds
        self._window = key_window_seconds
        self._clock_offset = 0.0
        self._routes = [(route, route.path.strip("/").split("/")) for route in (*self._common_routes(), *self.routes())]
        self._fill()

    # ── what each provider decides for itself ───────────────────────────────────────────────────────────────

    @abstractmethod
    def routes(self) -> tuple[Route, ...]:
        """Routes beyond the common ones."""

    @abstractmethod
    def parse(self, body: Json) -> Json:
        """The request in canonical form, in which two are compared under a key. Raises ``Refusal`` 422."""

    @abstractmethod
    def perform(self, tx: Transaction, request: Json) -> Effect:
        """Decides on a canonical request. Raises ``Refusal`` when nothing is left to sell, or no credit."""

    @abstractmethod
    def undone(self, record: Record) -> Json:
        """The answer to undoing ``record``."""

    @abstractmethod
    def declined(self) -> Refusal:
        """The refusal that the fault ``decline`` simulates."""

    @abstractmethod
    def inventory(self, tx: Transaction) -> list[Json]:
        """Items taken in part or with a capacity of their own: equal before an effect and after its undo."""

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────

    def handle(self, request: Request) -> Answer:
        """Answers a request. Raises ``HangUp`` where a fault says that the caller gets no answer."""
        try:
            route, params = self._find(request)
            request = Request(request.method, request.path, request.query, request.body, request.key, params)
            if route.operation is None:
                return route.run(request)
            return self.faults.around(route.operation, request, lambda: route.run(request), self.declined())
        except Refusal as refusal:
            return refusal.answer

    def _find(self, request: Request) -> tuple[Route, dict[str, str]]:
        parts = request.path
        for route, pattern in self._routes:
            if route.method == request.method and len(pattern) == len(parts):
                pairs = list(zip(pattern, parts, strict=True))
                if all(name.startswith("{") or name == part for name, part in pairs):
                    return route, {name[1:-1]: part for name, part in pairs if name.startswith("{")}
        raise Refusal(404, "no_such_route", f"{self.name} has no {request.method} /{'/'.join(parts)}")

    def _common_routes(self) -> tuple[Route, ...]:
        words = self.words
        by_key = f"/{words.collection}/by-key/{{key}}"
        return (
            Route("POST", f"/{words.collection}", self._apply, words.apply),
            Route("GET", by_key, self._probe, "probe"),
            Route("POST", f"{by_key}/{words.undo}", self._undo, words.undo),
            Route("GET", "/inventory", lambda _: self._inventory()),
            Route("GET", "/ledger", self._ledger),
            Route("GET", "/faults", lambda _: Answer(200, {"faults": self.faults.listed()})),
            Route("POST", "/faults", lambda request: Answer(201, self.faults.order(request.body).to_json())),
            Route("GET", "/settings", lambda _: self._settings()),
            Route("POST", "/settings", self._change_settings),
            Route("POST", "/reset", lambda _: self._reset()),
            Route("GET", "/health", lambda _: Answer(200, {"status": "ok", "provider": self.name})),
        )

    # ── effects ─────────────────────────────────────────────────────────────────────────────────────────────

    def _apply(self, request: Request) -> Answer:
        key = _required_key(request)
        wanted = self.parse(request.body)
        fingerprint = _fingerprint(self.words.apply, wanted)
        with self.store.transaction() as tx:
            now = self.now()
            known = tx.remembered(key, since=now - self._window)
            if known is not None:
                return _repeated(known, fingerprint)
            if tx.revoked(key):
                raise Refusal(409, "key_revoked", "this key was cancelled before and will never be accepted")
            try:
                effect = self.perform(tx, wanted)
            except Refusal as refusal:
                answer = refusal.answer
            else:
                tx.add_record(key, effect.ledger, effect.answer, effect.holdings, now)
                answer = Answer(201, effect.answer)
            tx.remember(key, fingerprint, answer, now)
            return answer

    def _undo(self, request: Request) -> Answer:
        fields.only(request.body)
        undo_key, run_key = _required_key(request), request.params["key"]
        fingerprint = _fingerprint(self.words.undo, {"key": run_key})
        with self.store.transaction() as tx:
            now = self.now()
            known = tx.remembered(undo_key, since=now - self._window)
            if known is not None:
                return _repeated(known, fingerprint)
            record = tx.record(run_key)
            if record is None:
                answer = Answer(404, {"code": "not_found", "message": "nothing was ever applied under this key"})
            elif record.undone is not None:
                answer = Answer(200, record.undone)
            else:
                answer = Answer(200, self.undone(record))
                tx.undo_record(record, answer.body, now)
            tx.revoke(run_key, now)
            tx.remember(undo_key, fingerprint, answer, now)
            return answer

    def _probe(self, request: Request) -> Answer:
        key = request.params["key"]
        with self.store.transaction() as tx:
            record = tx.record(key)
            known = tx.remembered(key, since=self.now() - self._window)
            revoked = tx.revoked(key)
        if record is not None:
            if record.undone is not None:
                return Answer(200, {"key": key, "status": self.words.undone})
            told = record.answer if self.probe_tells_answer else {}
            return Answer(200, {**told, "key": key, "status": self.words.applied})
        if revoked:
            return Answer(200, {"key": key, "status": "revoked"})
        if known is not None:
            return Answer(200, {"key": key, "status": self.words.refused})
        raise Refusal(404, "not_found", "nothing has been seen under this key")

    # ── stock ───────────────────────────────────────────────────────────────────────────────────────────────

    def _fill(self) -> None:
        with self.store.transaction() as tx:
            for item, capacity in self.starts_with.items():
                if tx.stock(item).capacity is None:
                    tx.set_capacity(item, capacity)

    def free(self, tx: Transaction, item: str, default: int) -> int:
        """Units of ``item`` left; ``default`` is its capacity where none was set."""
        stock = tx.stock(item)
        return self.capacity(tx, stock.capacity, default) - stock.taken

    def capacity(self, tx: Transaction, own: int | None, default: int) -> int:
        """The item's own capacity, else the one set for all items, else ``default``."""
        if own is not None:
            return own
        everywhere = tx.stock(_EVERYTHING).capacity
        return default if everywhere is None else everywhere

    def set_capacity(self, item: str | None, units: int) -> None:
        """Sets the capacity of one item, or of all that have none of their own."""
        with self.store.transaction() as tx:
            tx.set_capacity(_EVERYTHING if item is None else item, units)

    def _inventory(self) -> Answer:
        with self.store.transaction() as tx:
            return Answer(200, {"items": self.inventory(tx)})

    # ── admin ───────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> float:
        """Seconds since 1970 by this provider's clock, which tests may move."""
        return time.time() + self._clock_offset

    def _ledger(self, request: Request) -> Answer:
        with self.store.transaction() as tx:
            entries = tx.ledger(request.query.get("key"))
        return Answer(200, {"entries": [summary(entry, _written(entry.at)) for entry in entries]})

    def _settings(self) -> Answer:
        return Answer(200, {"clock_offset_seconds": self._clock_offset, "key_window_seconds": self._window})

    def _change_settings(self, request: Request) -> Answer:
        body = request.body
        fields.only(body, "clock_offset_seconds", "key_window_seconds")
        offset, window = self._clock_offset, self._window
        if "clock_offset_seconds" in body:
            offset = fields.number(body, "clock_offset_seconds", least=-_A_CENTURY, most=_A_CENTURY)
        if "key_window_seconds" in body:
            window = fields.number(body, "key_window_seconds", least=0, most=_A_CENTURY)
        self._clock_offset, self._window = offset, window
        return self._settings()

    def _reset(self) -> Answer:
        self.faults.clear()
        self._clock_offset, self._window = 0.0, self._default_window
        self.store.reset()
        self._fill()
        return Answer(200, {"status": "reset"})


def _required_key(request: Request) -> str:
    key = request.key
    if not key:
        raise Refusal(400, "idempotency_key_required", "send the header Idempotency-Key")
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise Refusal(400, "idempotency_key_invalid", f"a key has 1 to {LONGEST_KEY} printable characters")
    return key


def _fingerprint(operation: str, request: Json) -> str:
    canonical = json.dumps([operation, request], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _repeated(known: tuple[str, Answer], fingerprint: str) -> Answer:
    before, answer = known
    if before != fingerprint:
        raise Refusal(422, "key_reused", "this key was used before for a different request")
    return answer


def _written(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id(prefix: str) -> str:
    """A fresh id such as ``BK-3E3A2803719C``."""
    return f"{prefix}-{uuid.uuid4().hex[:12].upper()}"


def inventory_row(item: Mapping[str, Any], units: str, capacity: int, taken: int) -> Json:
    """One line of an inventory: the item, how many units there are, are taken and are left."""
    return {**item, units: capacity, "taken": taken, "left": capacity - taken}
