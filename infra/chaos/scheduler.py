"""One scheduler for all that happens at the same time: no threads, no real clock, the same run for the same seed.

Every actor is a greenlet. It gives way wherever the real one could be overtaken: at each call of a table or a provider
and at each named fault point. Who goes on is drawn from one seeded generator; when all of them sleep, time jumps.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any

from greenlet import getcurrent, greenlet

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """Ends an actor at once, as the end of its process would. No handler of ordinary exceptions sees it."""


class StuckError(Exception):
    """The actors took more turns than any sensible run needs."""


@dataclass(eq=False)
class Actor:
    """Something that happens beside other things. ``error`` and ``result`` say how it ended."""

    name: str
    body: Callable[[], Any]
    context: dict[str, Any] = field(default_factory=dict)
    """What the harness wants to know about whoever is at work."""
    done: bool = False
    result: Any = None
    error: BaseException | None = None
    _greenlet: greenlet | None = None
    _waiters: list["Actor"] = field(default_factory=list)
    _doomed: bool = False
    _sleep: int = 0

    def run(self) -> None:
        """Carry out the body; what it raises is kept for whoever waits for it."""
        try:
            self.result = self.body()
        except Killed as death:
            self.error = death
        except Exception as error:  # noqa: BLE001 - whoever started the actor looks at how it ended
            self.error = error
        self.done = True


class Scheduler:
    """Runs actors in turns. ``max_turns`` bounds one run; exceeding it raises ``StuckError``."""

    def __init__(self, seed: str, *, max_turns: int = 20_000) -> None:
        self.random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._now = EPOCH
        self._ready: list[Actor] = []
        self._asleep: list[tuple[datetime, int, Actor]] = []
        self._count = 0
        self._turns = 0
        self._max_turns = max_turns
        self._hub = getcurrent()
        self._current: Actor | None = None
        self._actors: list[Actor] = []
        self._foreground = 0
        self._log = blake2b(digest_size=16)

    # ── the clock (``apex.ports.Clock``) ────────────────────────────────────────────────────────────────────────

    def now(self) -> datetime:
        """The virtual time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the actor that calls wait that long; outside any actor time simply moves on."""
        if self._current is None:
            self._now += timedelta(seconds=seconds)
            return
        self._put_to_sleep(self._current, self._now + timedelta(seconds=max(0.0, seconds)))
        self._yield()

    # ── actors ──────────────────────────────────────────────────────────────────────────────────────────────────

    def elapsed(self) -> timedelta:
        """Virtual time since the beginning."""
        return self._now - EPOCH

    @property
    def foreground(self) -> int:
        """How many actors are still there, without those that were spawned with ``background=True``."""
        return self._foreground

    @property
    def current(self) -> Actor | None:
        """The actor at work, or None outside the run."""
        return self._current

    def spawn(self, name: str, body: Callable[[], Any], **context: Any) -> Actor:
        """Add an actor; it takes its first turn when the draw falls on it."""
        actor = Actor(name, body, context)
        # Without a parent named, an actor that ends would hand over to whoever spawned it.
        actor._greenlet = greenlet(actor.run, parent=self._hub)
        self._actors.append(actor)
        self._ready.append(actor)
        self._foreground += 0 if context.get("background") else 1
        return actor

    def pause(self, where: str = "") -> None:
        """Let somebody else go first, perhaps. Does nothing outside the run."""
        if self._current is None:
            return
        if where:
            self.note(where)
        self._ready.append(self._current)
        self._yield()

    def kill(self, actor: Actor) -> None:
        """End an actor at the place where it waits; one that ends itself ends at once."""
        if actor is self._current:
            raise Killed
        if not actor.done:
            actor._doomed = True
            self._make_ready(actor)

    def wait_for(self, actor: Actor, until: datetime | None = None) -> bool:
        """Wait until the actor has ended, or until that time; answers whether it has."""
        me = self._current
        if actor.done or me is None:
            return actor.done
        actor._waiters.append(me)
        if until is not None:
            self._put_to_sleep(me, until)
        self._yield()
        return actor.done

    def _make_ready(self, actor: Actor) -> None:
        actor._sleep = 0
        if actor not in self._ready and actor is not self._current:
            self._ready.append(actor)

    def _put_to_sleep(self, actor: Actor, until: datetime) -> None:
        self._count += 1
        actor._sleep = self._count
        heappush(self._asleep, (until, self._count, actor))

    def _yield(self) -> None:
        actor = self._current
        if actor is None:
            raise RuntimeError("only an actor can give way")
        self._hub.switch()
        if actor._doomed:
            raise Killed

    # ── the run ─────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, until: Callable[[], bool]) -> None:
        """Give turns until ``until`` holds or nobody is left. Raises ``StuckError`` after too many turns."""
        while not until():
            if not self._ready and not self._wake():
                return
            self._turns += 1
            if self._turns > self._max_turns:
                raise StuckError(f"more than {self._max_turns} turns, at {self._now.isoformat()}")
            at = int(self.random.random() * len(self._ready))
            actor = self._ready.pop(at)
            self._turn(actor)

    def _turn(self, actor: Actor) -> None:
        if actor.done or actor._greenlet is None:
            return
        self.note(f"turn {actor.name}")
        self._current = actor
        try:
            if actor._doomed and not actor._greenlet:
                actor.done, actor.error = True, Killed()
            else:
                actor._greenlet.switch()
        finally:
            self._current = None
        if actor.done:
            self._foreground -= 0 if actor.context.get("background") else 1
            for waiter in actor._waiters:
                if not waiter.done:
                    self._make_ready(waiter)
            actor._waiters.clear()

    def _wake(self) -> bool:
        """Move on to the next moment at which somebody wakes."""
        while self._asleep:
            at, token, actor = heappop(self._asleep)
            if token != actor._sleep or actor.done:
                continue
            self._now = max(self._now, at)
            self._make_ready(actor)
            return True
        return False

    def end(self) -> None:
        """End everybody who is still there, so that nothing of this run outlives it."""
        for actor in self._actors:
            actor._doomed = True
            while not actor.done:
                self._turn(actor)

    def errors(self) -> list[tuple[str, BaseException]]:
        """With what actors ended, except those that were killed."""
        ended = [(actor.name, actor.error) for actor in self._actors]
        return [(name, error) for name, error in ended if error is not None and not isinstance(error, Killed)]

    def note(self, what: str) -> None:
        """Add a line to the log of this run, of which only a digest is kept."""
        self._log.update(f"{self._now.timestamp()} {what}\n".encode())

    def digest(self) -> str:
        """Digest of everything noted: equal for two runs that took the same course."""
        return self._log.hexdigest()
