"""The way to the outside world, where most trouble is, and the ledger of what happened there: the checks' witness.

The ledger knows what no provider of a real tool would: for each key handed to it, when an effect was applied, and when
it was undone. What is at the other end of the way is a simulated provider, or a user's own tool.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from apex.errors import ToolError, ToolOutcomeUnknown, ToolRejected, ToolRetryable
from apex.tools import Call
from infra.chaos.faults import Fault, Plot
from infra.chaos.scheduler import Scheduler

_LATENCY = (0.01, 0.4)
T = TypeVar("T")


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

    def apply(self, key: str, now: datetime) -> None:
        """An effect becomes visible."""
        self.applied[key].append(now)

    def undo(self, key: str, now: datetime) -> None:
        """An effect is gone."""
        self.undone[key].append(now)

    def visible(self, key: str) -> int:
        """How many effects of this key there are now."""
        return len(self.applied[key]) - len(self.undone[key])


class World:
    """Everything outside, of one run. Tools find it through ``the_world``. ``natures`` says by step what the simulated
    providers think."""

    def __init__(self, scheduler: Scheduler, plot: Plot, natures: dict[str, str]) -> None:
        self.scheduler = scheduler
        self.plot = plot
        self.ledger = Ledger()
        self.natures = natures
        self.memory: dict[str, object] = {}
        """What the simulated providers remember, by key."""

    # ── three ways there ────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, call: Call, receive: Callable[[], T], settles_within: timedelta) -> T:
        """Ask for an effect: ``receive`` is what the provider does with the request. Raises the tool errors."""
        self._own(call.key, call)
        with self._noted(self.ledger.run_calls, call):
            return self._apply(call, receive, settles_within)

    def _apply(self, call: Call, receive: Callable[[], T], settles_within: timedelta) -> T:
        step = number_of(call.step_id)
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
            self._send_slowly(call, receive, settles_within, lands.delay)
            raise ToolOutcomeUnknown("no answer in time")
        answer = receive()
        if self.plot.strikes(Fault.REPLY_LOST, step):
            raise ToolOutcomeUnknown("the reply was lost")
        return answer

    def undo(self, call: Call, take_back: Callable[[], None]) -> None:
        """Ask for an effect to be taken back."""
        step = number_of(call.step_id)
        self._own(call.run_key, call)
        with self._noted(self.ledger.undo_calls, call):
            if call.seconds_left <= 0:
                raise ToolRetryable("no time was left to send it")
            self._travel(call)
            if self.plot.strikes(Fault.UNDO_FAILS, step):
                raise ToolError("the provider could not undo it")
            take_back()
            if self.plot.strikes(Fault.UNDO_REPLY_LOST, step):
                raise ToolOutcomeUnknown("the reply was lost")

    def probe(self, call: Call, ask: Callable[[], T]) -> T:
        """Ask whether it happened."""
        self._own(call.run_key, call)
        self._travel(call)
        if self.plot.strikes(Fault.PROBE_UNAVAILABLE, number_of(call.step_id)):
            raise ToolRetryable("the provider cannot be asked")
        return ask()

    def look_up(self, call: Call, answer: Callable[[], T]) -> T:
        """Ask a question that changes nothing: no key is owned, and nothing is at stake."""
        step = number_of(call.step_id)
        self._travel(call)
        if self.plot.strikes(Fault.UNAVAILABLE, step):
            raise ToolRetryable("no connection")
        if self.plot.strikes(Fault.REPLY_LOST, step):
            raise ToolOutcomeUnknown("the reply was lost")
        return answer()

    def write_row(self, call: Call) -> None:
        """A tool that writes into our own tables was called; the row comes with the ledger's change."""
        self._own(call.key, call)
        self.scheduler.pause()

    def delete_row(self, call: Call) -> None:
        """A tool that writes into our own tables undoes; the row goes with the ledger's change."""
        self._own(call.run_key, call)
        with self._noted(self.ledger.undo_calls, call):
            self.scheduler.pause()

    # ── what happens on the way ─────────────────────────────────────────────────────────────────────────────────

    def _travel(self, call: Call, *, held_up: bool = False) -> None:
        """The way takes its time; a caller gives up at its deadline."""
        seconds = self.scheduler.random.uniform(*_LATENCY)
        if self.plot.strikes(Fault.SLOW, number_of(call.step_id)):
            seconds = call.seconds_left * self.scheduler.random.uniform(0.5, 0.95)
        if not held_up and seconds >= call.seconds_left:
            self.scheduler.sleep(call.seconds_left)
            raise ToolRetryable("no connection before the deadline")
        self.scheduler.sleep(seconds)

    def _send_slowly(self, call: Call, receive: Callable[[], object], settles_within: timedelta, share: float) -> None:
        """The request is under way when the caller gives up; it lands at the latest when it may land at all."""
        latest = call.seconds_left + settles_within.total_seconds()

        def land() -> None:
            self.scheduler.sleep(latest * share)
            try:
                receive()
            except ToolRejected:
                self.scheduler.note(f"{call.key} refused on landing")

        self.scheduler.spawn(f"request {call.step_id}", land)
        self.scheduler.sleep(call.seconds_left)

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


def number_of(step_id: str) -> int:
    """The position of a step in its program."""
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
