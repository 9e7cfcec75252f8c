"""How much work is accepted but not finished, over all the parts that deliver something in the background."""

import threading
import time


class Backlog:
    """A count of unfinished pieces of work that can be waited for.

    A piece is added before it becomes visible to a worker and is finished only after everything that it causes has been
    added too; so a count of zero means that nothing is left anywhere.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._unfinished = 0

    def add(self, pieces: int = 1) -> None:
        """Note that work was accepted."""
        with self._condition:
            self._unfinished += pieces

    def finish(self, pieces: int = 1) -> None:
        """Note that work is done, one way or the other."""
        with self._condition:
            self._unfinished -= pieces
            if self._unfinished <= 0:
                self._condition.notify_all()

    def wait_until_empty(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds; ``True`` if nothing is left to do."""
        end = time.monotonic() + timeout
        with self._condition:
            return self._condition.wait_for(lambda: self._unfinished <= 0, max(0.0, end - time.monotonic()))
