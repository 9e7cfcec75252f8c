"""Threads that carry out work now or later, for all deliveries that are not streams."""

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable

from infra.local.backlog import Backlog

Work = Callable[[], None]

_log = logging.getLogger(__name__)


class Background:
    """A few worker threads and a clock. Work that is accepted counts in the backlog until it is done."""

    def __init__(self, backlog: Backlog, *, workers: int = 8, time_scale: float = 1.0) -> None:
        self._backlog, self._time_scale = backlog, time_scale
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._later: list[tuple[float, int, Work]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        names = [f"delivery {number}" for number in range(workers)]
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        self._threads.append(threading.Thread(target=self._watch_clock, name="delivery clock", daemon=True))

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is in hand and end the threads; what is waiting is dropped."""
        with self._changed:
            self._stopped = True
            dropped = len(self._later)
            self._later.clear()
            self._changed.notify_all()
        for _ in self._threads[:-1]:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        while not self._queue.empty():
            dropped += self._queue.get() is not None
        self._backlog.finish(dropped)

    def run(self, work: Work) -> None:
        """Carry out ``work`` as soon as a thread is free. What it raises is logged: it must handle its own failures."""
        self._backlog.add()
        self._queue.put(work)

    def run_later(self, seconds: float, work: Work) -> None:
        """Carry out ``work`` after so many seconds, multiplied by the time scale."""
        self._backlog.add()
        with self._changed:
            heapq.heappush(self._later, (time.monotonic() + seconds * self._time_scale, next(self._order), work))
            self._changed.notify_all()

    def _watch_clock(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                wait = self._later[0][0] - time.monotonic() if self._later else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                self._queue.put(heapq.heappop(self._later)[2])

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            if not self._stopped:
                try:
                    work()
                except Exception:  # noqa: BLE001 # logged, and the thread must live on
                    _log.exception("a delivery failed in a way that it does not handle")
            self._backlog.finish()
