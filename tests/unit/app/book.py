"""A provider for tests: its books are the witness of what happened outside, and it can be made to misbehave."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from apex.adapters.memory import ManualClock
from apex.errors import ToolOutcomeUnknown, ToolRejected, ToolRetryable
from apex.tools import Call, Effect, Input, Output, Probe, Tool, UndoOfAbsent, tool

A_DAY = timedelta(hours=24)
SETTLES = timedelta(seconds=30)


class Killed(BaseException):
    """The process dies: nothing after this point is carried out, and nobody is told."""


class Trouble(StrEnum):
    """What may go wrong with one request."""

    NONE = "none"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    LOST_REQUEST = "lost request"
    """It never arrives, and the caller hears nothing."""
    LATE_REQUEST = "late request"
    """The caller hears nothing, and it is carried out just before it must have settled."""
    LOST_REPLY = "lost reply"
    """It is carried out, and the caller hears nothing."""
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    KILLED_LATE = "killed late"
    """The caller dies with the request under way, which is carried out later."""


@dataclass
class Sale:
    """One line of the books."""

    key: str
    at: datetime
    undone: bool = False


@dataclass
class Book:
    """Keeps effects under the caller's keys, and remembers a key for ``window``.

    ``fences``: undoing an unknown key leaves a tombstone. ``tells_result``: a probe repeats the answer of an effect
    that stands.
    """

    clock: ManualClock
    window: timedelta = A_DAY
    fences: bool = True
    tells_result: bool = True
    effects: list[Sale] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(operation, key) of every request that was made, whether it arrived or not."""
    during: Callable[[], None] | None = None
    """Done once, after the next effect and before its reply: while the caller waits, the world goes on."""

    def __post_init__(self) -> None:
        self._remembered: dict[str, tuple[datetime, Sale]] = {}
        self._tombstones: set[str] = set()
        self._undone_keys: set[str] = set()
        self._moment: datetime | None = None
        self._under_way: list[tuple[datetime, Callable[[], object]]] = []
        self._troubles: dict[str, deque[Trouble]] = {"apply": deque(), "undo": deque(), "find": deque()}

    # ── what the test orders ────────────────────────────────────────────────────────────────────────────────

    def next(self, operation: str, *troubles: Trouble) -> None:
        """The next requests of this kind (``apply``, ``undo`` or ``find``) meet these troubles."""
        self._troubles[operation].extend(troubles)

    def forget_troubles(self) -> None:
        """From now on everything works."""
        for waiting in self._troubles.values():
            waiting.clear()

    def revoke(self, key: str) -> None:
        """From now on requests with this key are refused."""
        self._tombstones.add(key)

    def arrive(self, key: str) -> None:
        """A request that was under way all the time arrives only now, however late that is."""
        self._under_way.append((self.clock.now(), lambda: self._apply(key)))
        self._settle()

    # ── what the test sees ──────────────────────────────────────────────────────────────────────────────────

    def standing(self, key: str | None = None) -> list[Sale]:
        """The effects that exist now, those under way included if their time has come."""
        self._settle()
        return [effect for effect in self.effects if not effect.undone and key in (None, effect.key)]

    @property
    def under_way(self) -> bool:
        """Whether a late request has not been carried out yet."""
        self._settle()
        return bool(self._under_way)

    def revoked(self, key: str) -> bool:
        """Whether requests with this key are refused."""
        return key in self._tombstones

    def requests(self, operation: str) -> list[str]:
        """The keys of the requests of one kind, in order."""
        return [key for made, key in self.calls if made == operation]

    # ── what the tool calls ─────────────────────────────────────────────────────────────────────────────────

    def apply(self, call: Call) -> str:
        """Bring the effect about; answers its receipt."""
        return str(self._suffer("apply", call.key, lambda: self._apply(call.key), call.deadline))

    def undo(self, call: Call) -> None:
        """Take the effect back; asking again under the same key changes nothing."""
        self._suffer("undo", call.key, lambda: self._undo(call.key, call.run_key), call.deadline)

    def find(self, call: Call) -> "Probe[Receipt]":
        """Did it happen?"""
        answer = self._suffer("find", call.run_key, lambda: self._find(call.run_key), call.deadline)
        assert isinstance(answer, Probe)
        return answer

    def _suffer(self, operation: str, key: str, act: Callable[[], Any], deadline: datetime) -> Any:
        self._settle()
        self.calls.append((operation, key))
        waiting = self._troubles[operation]
        trouble = waiting.popleft() if waiting else Trouble.NONE
        match trouble:
            case Trouble.REJECTED:
                raise ToolRejected("the shop refuses")
            case Trouble.UNAVAILABLE:
                raise ToolRetryable("the shop is closed for a moment")
            case Trouble.LOST_REQUEST:
                raise ToolOutcomeUnknown("no answer")
            case Trouble.KILLED_BEFORE:
                raise Killed
            case Trouble.LATE_REQUEST | Trouble.KILLED_LATE:
                self._under_way.append((deadline + SETTLES - timedelta(seconds=1), act))
                raise ToolOutcomeUnknown("no answer") if trouble is Trouble.LATE_REQUEST else Killed
        answer = act()
        if trouble is Trouble.LOST_REPLY:
            raise ToolOutcomeUnknown("no answer")
        if trouble is Trouble.KILLED_AFTER:
            raise Killed
        meanwhile, self.during = self.during, None
        if meanwhile is not None:
            meanwhile()
        return answer

    def _settle(self) -> None:
        now = self.clock.now()
        due = sorted((item for item in self._under_way if item[0] <= now), key=lambda item: item[0])
        self._under_way = [item for item in self._under_way if item[0] > now]
        for at, act in due:
            # It happened when it was due, and nobody is left to be told of a refusal.
            self._moment = at
            with suppress(ToolRejected):
                act()
        self._moment = None

    def _now(self) -> datetime:
        return self._moment or self.clock.now()

    def _apply(self, key: str) -> str:
        if key in self._tombstones:
            raise ToolRejected("this key was cancelled before")
        known = self._remembered.get(key)
        if known is None or known[0] + self.window <= self._now():
            # A forgotten key is a new one: the shop sells a second time.
            known = (self._now(), Sale(key, self._now()))
            self._remembered[key] = known
            self.effects.append(known[1])
        return f"receipt-{self.effects.index(known[1])}"

    def _undo(self, key: str, run_key: str) -> None:
        if key in self._undone_keys:
            return
        self._undone_keys.add(key)
        for effect in self.effects:
            effect.undone = effect.undone or effect.key == run_key
        if self.fences:
            self._tombstones.add(run_key)

    def _find(self, run_key: str) -> "Probe[Receipt]":
        found = [effect for effect in self.effects if effect.key == run_key]
        if any(not effect.undone for effect in found):
            receipt = f"receipt-{self.effects.index(found[0])}"
            return Probe.applied(Receipt(receipt=receipt)) if self.tells_result else Probe.applied()
        return Probe.never() if found or run_key in self._tombstones else Probe.not_seen()


class Order(Input):
    item: str = Field(default="lamp", max_length=100)


class Receipt(Output):
    receipt: str
    ok: bool | None = None


def shop_tool(
    book: Book, *, name: str = "order_item", probe: bool = False, undo: bool = True, **declared: Any
) -> Tool[Order, Receipt]:
    """A tool that acts in that book. Without ``undo`` its effect is irreversible."""
    terms: dict[str, Any] = {
        "description": "Order an item from the shop.",
        "effect": Effect.REVERSIBLE if undo else Effect.IRREVERSIBLE,
        "idempotency_window": book.window,
        "settles_within": SETTLES,
        "undo_of_absent": UndoOfAbsent.FENCES if book.fences else UndoOfAbsent.TOLERATES,
    }

    def run(order: Order, call: Call) -> Receipt:
        return Receipt(receipt=book.apply(call))

    run.__name__ = name
    order_item = tool(**{**terms, **declared})(run)

    if undo:

        @order_item.undo
        def return_item(order: Order, receipt: Receipt | None, call: Call) -> None:
            book.undo(call)

    if probe:

        @order_item.probe
        def find_order(order: Order, call: Call) -> Probe[Receipt]:
            return book.find(call)

    return order_item


def row_tool(**declared: Any) -> Tool[Order, Receipt]:
    """The tool ``write_row``, whose effect is a row of our own, written in one transaction with the ledger."""

    @tool(
        description="Write a row of our own.",
        effect=Effect.REVERSIBLE,
        transactional=True,
        undo_of_absent=UndoOfAbsent.TOLERATES,
        tables=("records",),
        **declared,
    )
    def write_row(order: Order, call: Call) -> Receipt:
        call.put_record("records", call.key, {"item": order.item})
        return Receipt(receipt=call.key)

    @write_row.undo
    def delete_row(order: Order, receipt: Receipt | None, call: Call) -> None:
        call.delete_record("records", call.run_key)

    return write_row


def look_tool(act: Callable[[], None] = lambda: None, **declared: Any) -> Tool[Order, Receipt]:
    """The tool ``look_up``, which changes nothing; ``act`` may raise."""

    @tool(description="Look at the shop window.", effect=Effect.NONE, **declared)
    def look_up(order: Order, call: Call) -> Receipt:
        act()
        return Receipt(receipt="seen")

    return look_up
