"""The outside world: providers that keep a ledger of their own, which is the witness of every check.

The ledger knows what no provider of a real tool would: for each key handed to it, when an effect was applied, and when it
was undone. How a provider behaves otherwise (whether it remembers keys, can be asked, leaves tombstones) is its traits,
and they are the ones that the tool's contract promises, no better.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from apex.errors import ToolError, ToolOutcomeUnknown, ToolRejected, ToolRetryable
from apex.schema.contract import UndoOfAbsent
from apex.tools import Call
from infra.chaos.faults import Fault, Plot
from infra.chaos.scheduler import Scheduler

Nature = Literal["grants", "refuses", "refuses_a_second_call", "grants_much"]
"""What a provider thinks of a step: it does it; it refuses it and says so again; it refuses a call while or after another
with the same key was received (the way of "request in progress"); it does it and answers with a large document."""

_LATENCY = (0.01, 0.4)
_MUCH = "x" * 40_000


@dataclass(frozen=True, slots=True)
class Traits:
    """How a provider behaves. ``remembers`` is for how long it knows a key it has seen (zero: it knows no keys).
    ``settles_within`` is how long after its deadline a request may still land."""

    remembers: timedelta = timedelta(0)
    tells_result: bool = True
    undo_of_absent: UndoOfAbsent = UndoOfAbsent.FAILS
    settles_within: timedelta = timedelta(seconds=10)


@dataclass(slots=True)
class WorldCall:
    """One call of a run or an undo, from start to end. ``deadline`` is that of the function it was made from."""

    step_id: str
    workflow_id: str
    generation: int
    began: datetime
    deadline: datetime
    ended: datetime | None = None


@dataclass
class Ledger:
    """What happened outside, by key."""

    applied: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    undone: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    owners: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """(tenant, workflow, step) by key."""
    undo_calls: list[WorldCall] = field(default_factory=list)
    run_calls: list[WorldCall] = field(default_factory=list)
    absent_undone: list[str] = field(default_factory=list)
    """Keys of undos that found nothing, at providers whose undo must not be called then."""
    most: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The most effects of one key that were visible at one time."""

    def apply(self, key: str, now: datetime) -> None:
        """An effect becomes visible."""
        self.applied[key].append(now)
        self.most[key] = max(self.most[key], self.visible(key))

    def undo(self, key: str, now: datetime) -> None:
        """An effect is gone."""
        self.undone[key].append(now)

    def visible(self, key: str) -> int:
        """How many effects of this key there are now."""
        return len(self.applied[key]) - len(self.undone[key])


@dataclass
class _Known:
    """What a provider remembers of a key."""

    seen: datetime
    answer: dict[str, Any] | None = None
    refused: bool = False


class World:
    """All providers of one run. Tools find it through ``the_world``."""

    def __init__(self, scheduler: Scheduler, plot: Plot, natures: dict[str, Nature]) -> None:
        self.scheduler = scheduler
        self.plot = plot
        self.ledger = Ledger()
        self._natures = natures
        self._known: dict[str, _Known] = {}

    # ── the three verbs ─────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, traits: Traits, call: Call) -> dict[str, Any]:
        """Ask for an effect; answers what the provider answers. Raises the tool errors."""
        self._own(call.key, call)
        with self._noted(self.ledger.run_calls, call):
            return self._apply(traits, call, _number(call.step_id))

    def _apply(self, traits: Traits, call: Call, step: int) -> dict[str, Any]:
        if call.seconds_left <= 0:
            raise ToolRetryable("no time was left to send it")
        late = self.plot.strikes(Fault.LATE_SENDER, step)
        if late is not None:
            self.stand_still(late.delay)
        elif self.plot.strikes(Fault.UNAVAILABLE, step):
            raise ToolRetryable("no connection")
        self._travel(call, held_up=late is not None)
        lands = self.plot.strikes(Fault.LANDS_LATE, step)
        if lands is not None:
            self._send_slowly(traits, call, lands.delay)
            raise ToolOutcomeUnknown("no answer in time")
        answer = self._receive(traits, call)
        if self.plot.strikes(Fault.REPLY_LOST, step):
            raise ToolOutcomeUnknown("the reply was lost")
        return answer

    def undo(self, traits: Traits, call: Call) -> None:
        """Ask for an effect to be taken back."""
        step = _number(call.step_id)
        self._own(call.run_key, call)
        with self._noted(self.ledger.undo_calls, call):
            if call.seconds_left <= 0:
                raise ToolRetryable("no time was left to send it")
            self._travel(call)
            if self.plot.strikes(Fault.UNDO_FAILS, step):
                raise ToolError("the provider could not undo it")
            self._take_back(traits, call.run_key)
            if self.plot.strikes(Fault.UNDO_REPLY_LOST, step):
                raise ToolOutcomeUnknown("the reply was lost")

    def probe(self, traits: Traits, call: Call) -> tuple[str, dict[str, Any] | None]:
        """Ask whether it happened: APPLIED (with the answer, where the provider still tells it), NOT_SEEN or NEVER."""
        self._own(call.run_key, call)
        self._travel(call)
        if self.plot.strikes(Fault.PROBE_UNAVAILABLE, _number(call.step_id)):
            raise ToolRetryable("the provider cannot be asked")
        key = call.run_key
        if self.ledger.visible(key) > 0:
            return "APPLIED", _answer(key) if traits.tells_result else None
        known = self._recall(traits, key)
        if known is None:
            return "NOT_SEEN", None
        return "NEVER", None

    def answer_row(self, call: Call) -> None:
        """A tool that writes into our own tables is asked: it may refuse."""
        self._own(call.key, call)
        self.scheduler.pause()
        if self._natures[call.step_id] == "refuses":
            raise ToolRejected("refused")

    def note_row_undo(self, call: Call) -> None:
        """A tool that writes into our own tables undoes: the call is kept, the row goes with the ledger's change."""
        self._own(call.run_key, call)
        with self._noted(self.ledger.undo_calls, call):
            self.scheduler.pause()

    def look_up(self, call: Call) -> dict[str, Any]:
        """A question without an effect."""
        step = _number(call.step_id)
        self._travel(call)
        if self.plot.strikes(Fault.UNAVAILABLE, step):
            raise ToolRetryable("no connection")
        if self.plot.strikes(Fault.REPLY_LOST, step):
            raise ToolOutcomeUnknown("the reply was lost")
        if self._natures[call.step_id] == "refuses":
            raise ToolRejected("refused")
        return _answer(call.key, much=self._natures[call.step_id] == "grants_much")

    # ── what happens on the way, and there ──────────────────────────────────────────────────────────────────────

    def _travel(self, call: Call, *, held_up: bool = False) -> None:
        """The way takes its time; a caller gives up at its deadline."""
        seconds = self.scheduler.random.uniform(*_LATENCY)
        if self.plot.strikes(Fault.SLOW, _number(call.step_id)):
            seconds = call.seconds_left * self.scheduler.random.uniform(0.5, 0.95)
        if not held_up and seconds >= call.seconds_left:
            self.scheduler.sleep(call.seconds_left)
            raise ToolRetryable("no connection before the deadline")
        self.scheduler.sleep(seconds)

    def _send_slowly(self, traits: Traits, call: Call, share: float) -> None:
        """The request is under way when the caller gives up; it lands at the latest when it may land at all."""
        latest = call.seconds_left + traits.settles_within.total_seconds()

        def land() -> None:
            self.scheduler.sleep(latest * share)
            try:
                self._receive(traits, call)
            except ToolRejected:
                self.scheduler.note(f"{call.key} refused on landing")

        self.scheduler.spawn(f"request {call.step_id}", land)
        self.scheduler.sleep(call.seconds_left)

    def _receive(self, traits: Traits, call: Call) -> dict[str, Any]:
        key, now, nature = call.key, self.scheduler.now(), self._natures[call.step_id]
        known = self._recall(traits, key)
        if known is not None and known.answer is not None:
            return known.answer
        if known is not None and (known.refused or nature == "refuses_a_second_call"):
            raise ToolRejected("refused, as before")
        if nature == "refuses":
            if traits.remembers:
                self._known[key] = _Known(now, refused=True)
            raise ToolRejected("refused")
        if nature == "refuses_a_second_call" and call.attempt > 1:
            raise ToolRejected("a request with this key is in progress")
        answer = _answer(key, much=nature == "grants_much")
        if traits.remembers:
            self._known[key] = _Known(known.seen if known else now, answer=answer)
        self.ledger.apply(key, now)
        return answer

    def _recall(self, traits: Traits, key: str) -> _Known | None:
        known = self._known.get(key)
        if known is None or self.scheduler.now() >= known.seen + traits.remembers:
            return None
        return known

    def _take_back(self, traits: Traits, key: str) -> None:
        now = self.scheduler.now()
        if self.ledger.visible(key) > 0:
            self.ledger.undo(key, now)
            return
        if self.ledger.applied[key]:
            return  # undone before: an undo may be repeated
        if traits.undo_of_absent is UndoOfAbsent.FENCES:
            self._known[key] = _Known(now, refused=True)
        elif traits.undo_of_absent is UndoOfAbsent.FAILS:
            self.ledger.absent_undone.append(key)
            raise ToolRejected("there is nothing to undo")

    # ── common ──────────────────────────────────────────────────────────────────────────────────────────────────

    def stand_still(self, seconds: float) -> None:
        """The function at work stands still; it is given up, but not dead."""
        current = self.scheduler.current
        if current is not None:
            current.context["frozen"] = True
        self.scheduler.sleep(seconds)

    def _own(self, key: str, call: Call) -> None:
        self.ledger.owners[key] = (call.tenant, call.workflow_id, call.step_id)

    @contextmanager
    def _noted(self, calls: list[WorldCall], call: Call) -> Iterator[None]:
        """Keep the call among these, its end too, however it ends."""
        current = self.scheduler.current
        context = current.context if current is not None else {}
        began = self.scheduler.now()
        noted = WorldCall(
            step_id=call.step_id,
            workflow_id=call.workflow_id,
            generation=context.get("generation", 0),
            began=began,
            deadline=context.get("deadline", began),
        )
        calls.append(noted)
        try:
            yield
        finally:
            noted.ended = self.scheduler.now()


def _answer(key: str, *, much: bool = False) -> dict[str, Any]:
    return {"ref": f"r-{key}", "note": _MUCH if much else ""}


def _number(step_id: str) -> int:
    return int(step_id.removeprefix("s")) - 1


_current: list[World] = []


def the_world() -> World:
    """The world of the run that is going on; raises ``LookupError`` outside any."""
    if not _current:
        raise LookupError("no program is running")
    return _current[-1]


def enter(world: World) -> None:
    """Make this the world that tools find."""
    _current.append(world)


def leave() -> None:
    """Go back to the one before."""
    _current.pop()
