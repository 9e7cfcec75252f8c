"""The machine's own clock."""

import time
from datetime import UTC, datetime


class SystemClock:
    """``Clock`` on the machine's time."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        time.sleep(seconds)
