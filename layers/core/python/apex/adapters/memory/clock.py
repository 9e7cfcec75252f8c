"""A clock that moves only when it is told to."""

import threading
from datetime import UTC, datetime, timedelta


class ManualClock:
    """``Clock`` under the test's control: sleeping moves it on at once, and nothing else does but ``advance``."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        if start.utcoffset() is None:
            raise ValueError("the start needs an offset from UTC")
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The time it was moved to."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move on by that many seconds, without waiting."""
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> datetime:
        """Move on and answer the new time; raises ``ValueError`` for a step back."""
        if by < timedelta(0):
            raise ValueError("time does not go back")
        with self._lock:
            self._now += by
            return self._now
