"""Threads that run handlers and can be given up on.

A thread cannot be killed. When a call takes too long its caller goes on, and the thread lives on as a zombie, as a
frozen Lambda sandbox may wake up again. Zombies of a stopped cloud may still run, but they reach no AWS client
(guard.py).
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from apex.errors import LocalCloudError


class TookTooLong(Exception):
    """A call did not finish in time; its thread goes on without us."""


class Workers:
    """A pool that grows as needed; handing a call to an idle thread takes some tens of microseconds."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, job: Callable[[], Any], timeout: float) -> Any:
        """What ``job`` returns or raises; raises ``TookTooLong`` after ``timeout`` seconds."""
        worker = self._take()
        outcomes: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        worker.jobs.put((job, outcomes))
        try:
            result, error = outcomes.get(timeout=max(timeout, 0.0))
        except Empty:
            raise TookTooLong from None
        if error is not None:
            raise error
        return result

    def busy(self) -> int:
        """How many threads are in a call now, given up on or not."""
        with self._lock:
            return sum(worker.is_alive() for worker in self._all) - len(self._idle)

    def close(self) -> None:
        """End the idle threads and cut the busy ones off from AWS."""
        with self._lock:
            self._closed = True
            workers, self._idle = set(self._all), []
        for worker in workers:
            worker.revoked = True
            worker.jobs.put(None)

    def _take(self) -> "_Worker":
        with self._lock:
            if self._closed:
                raise LocalCloudError("the local cloud has been stopped")
            if self._idle:
                return self._idle.pop()
            worker = _Worker(self)
            self._all.add(worker)
        worker.start()
        return worker

    def _put_back(self, worker: "_Worker") -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)


class _Worker(threading.Thread):
    def __init__(self, pool: Workers) -> None:
        super().__init__(name="lambda", daemon=True)
        self.jobs: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[Any]] | None] = SimpleQueue()
        self.revoked = False
        self._pool = pool

    def run(self) -> None:
        while (job := self.jobs.get()) is not None:
            work, outcomes = job
            try:
                outcome: tuple[Any, BaseException | None] = (work(), None)
            except BaseException as error:  # noqa: BLE001 - the caller decides, also about SystemExit
                outcome = (None, error)
            # Idle before the caller goes on: its next call finds this thread again.
            self._pool._put_back(self)
            outcomes.put(outcome)
            del work, outcomes, outcome, job
