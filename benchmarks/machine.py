"""The machine that is measured on, and how much of it others used meanwhile."""

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Where a line of /proc/stat has the idle time, and the time spent waiting for disks."""
_GUESTS = 8
"""From there on it has times that it has counted already."""


@dataclass(frozen=True, slots=True)
class Machine:
    """``others`` is the part of all cores that other programs used while it was measured, where that can be known."""

    cores: int
    python: str
    load_before: float
    others: float | None

    @property
    def verdict(self) -> str:
        """In words, whether the times are worth anything."""
        if self.others is None:
            return "how busy it was otherwise is not known"
        quiet = "quiet" if self.others < 0.1 else "NOT quiet: times are too long, units and counts are right"
        return f"others used {self.others:.0%} of it, so it was {quiet}"


class Watch:
    """Begins to look at the machine when it is made."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._start, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def end(self) -> Machine:
        """What was seen; programs that this one started must have ended, or they count as others."""
        cores = os.cpu_count() or 1
        others = None
        if self._busy is not None and (busy := _busy_seconds()) is not None:
            used = busy - self._busy - (_own_seconds() - self._own)
            others = max(0.0, used / ((time.monotonic() - self._start) * cores))
        return Machine(cores, platform.python_version(), self._load, others)


def _busy_seconds() -> float | None:
    """How long all cores together have worked since the machine was started; None where it does not say."""
    if not _STAT.exists():
        return None
    ticks = [int(text) for text in _STAT.read_text().partition("\n")[0].split()[1 : 1 + _GUESTS]]
    return sum(value for at, value in enumerate(ticks) if at not in _IDLE) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
