"""Threads and alarms that are kept for the next piece of work: starting a thread costs more than most of what it
does."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

Work = Callable[[], object]


class SpareThreads:
    """Runs pieces of work at once, each on a thread that is not busy; there are as many threads as it takes.

    Work handles its own failures: what it raises is reported as for any thread, and costs the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[SimpleQueue[Work]] = []

    def run(self, work: Work) -> None:
        """Begin the work and return."""
        try:
            jobs = self._idle.pop()
        except IndexError:
            jobs = SimpleQueue()
            threading.Thread(target=self._serve, args=(jobs,), name=self._name, daemon=True).start()
        jobs.put(work)

    def _serve(self, jobs: "SimpleQueue[Work]") -> None:
        while True:
            work = jobs.get()
            work()
            # Nothing that the work holds may live on while the thread waits.
            del work
            self._idle.append(jobs)


class Alarms:
    """Runs work at its time on one thread. The work must be short, and handles its own failures."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._waiting: list[_Alarm] = []
        self._cancelled = 0
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def after(self, seconds: float, work: Work) -> Callable[[], None]:
        """Run ``work`` so many seconds from now; the function returned cancels that."""
        alarm = _Alarm(time.monotonic() + seconds, next(self._order), work)
        with self._changed:
            heapq.heappush(self._waiting, alarm)
            if self._waiting[0] is alarm:
                self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name=self._name, daemon=True)
                self._thread.start()
        return lambda: self._cancel(alarm)

    def _cancel(self, alarm: "_Alarm") -> None:
        with self._changed:
            if alarm.work is None:
                return
            alarm.work = None
            self._cancelled += 1
            if self._cancelled * 2 > len(self._waiting) > 64:
                self._waiting = [alarm for alarm in self._waiting if alarm.work is not None]
                heapq.heapify(self._waiting)
                self._cancelled = 0

    def _watch(self) -> None:
        while True:
            if (work := self._next()) is not None:
                work()

    def _next(self) -> Work | None:
        """Wait until the first alarm is due; None where it was cancelled, or where another one became the first."""
        with self._changed:
            wait = self._waiting[0].when - time.monotonic() if self._waiting else None
            if wait is None or wait > 0:
                self._changed.wait(wait)
                return None
            work, self._waiting[0].work = self._waiting[0].work, None
            heapq.heappop(self._waiting)
            self._cancelled -= work is None
            return work


class _Alarm:
    def __init__(self, when: float, order: int, work: Work) -> None:
        self.when, self.order = when, order
        self.work: Work | None = work

    def __lt__(self, other: "_Alarm") -> bool:
        return (self.when, self.order) < (other.when, other.order)
