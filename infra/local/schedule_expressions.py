"""``rate(...)`` and ``cron(...)``: when a scheduled rule is due next."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LAST_YEAR = 2199

Next = Callable[[datetime], datetime | None]
"""Gives the moment after a moment (UTC) at which a schedule is due; ``None`` if it never is again."""


class ScheduleInvalid(ValueError):
    """The expression is not one that the local cloud can carry out."""


def parse_schedule(expression: str) -> Next:
    """The schedule that an expression describes.

    Raises ``ScheduleInvalid`` for a malformed one and for ``L``, ``W`` and ``#`` in cron expressions.
    """
    if match := _RATE.fullmatch(expression):
        period = int(match[1]) * _UNITS[match[2]]
        if not period:
            raise ScheduleInvalid(f"the rate of {expression} is zero")
        return lambda moment: moment + period
    if match := _CRON.fullmatch(expression):
        return _Cron.parse(match.groups()).next_after
    raise ScheduleInvalid(f"not a schedule: {expression}")


def _numbers(field: str, lowest: int, highest: int, names: tuple[str, ...] = (), first: int = 0) -> frozenset[int]:
    """The values that a cron field allows: ``*``, ``?``, numbers and names, ranges, steps and lists of these."""
    allowed: set[int] = set()

    def number(text: str) -> int:
        if text.upper() in names:
            return names.index(text.upper()) + first
        if not text.isdigit() or not lowest <= int(text) <= highest:
            raise ScheduleInvalid(f"{text} is not within {lowest} to {highest}")
        return int(text)

    for part in field.split(","):
        span, _, step = part.partition("/")
        if step and (not step.isdigit() or int(step) == 0):
            raise ScheduleInvalid(f"{step} is not a step")
        start, dash, end = span.partition("-")
        if span in ("*", "?"):
            bounds = (lowest, highest)
        elif dash:
            bounds = (number(start), number(end))
        else:
            bounds = (number(start), highest if step else number(start))
        allowed.update(range(bounds[0], bounds[1] + 1, int(step or 1)))
    return frozenset(allowed)


@dataclass(frozen=True, slots=True)
class _Cron:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    @classmethod
    def parse(cls, fields: tuple[str, ...]) -> "_Cron":
        minute, hour, day, month, weekday, year = fields
        return cls(
            _numbers(minute, 0, 59),
            _numbers(hour, 0, 23),
            _numbers(day, 1, 31),
            _numbers(month, 1, 12, _MONTHS, 1),
            _numbers(weekday, 1, 7, _DAYS, 1),
            _numbers(year, 1970, _LAST_YEAR),
        )

    def _on(self, moment: datetime) -> bool:
        weekday = (moment.weekday() + 1) % 7 + 1  # Sunday is 1
        return (
            moment.day in self.days
            and moment.month in self.months
            and weekday in self.weekdays
            and moment.year in self.years
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """The next full minute after ``moment`` that all fields allow."""
        candidate = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        while candidate.year <= max(self.years, default=0):
            if not self._on(candidate):
                candidate = candidate.replace(hour=0, minute=0) + timedelta(days=1)
            elif candidate.hour not in self.hours:
                candidate = candidate.replace(minute=0) + timedelta(hours=1)
            elif candidate.minute not in self.minutes:
                candidate += timedelta(minutes=1)
            else:
                return candidate
        return None
