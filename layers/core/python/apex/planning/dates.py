"""Dates as people write them, resolved to calendar days.

Only forms with one meaning are read. "05/06/2027" is a day in May or in June, "this Friday" said on a Friday is today
or in a week, "tonight" may end tomorrow: such words are no date here, and the goal goes to a planner that can ask.
"""

import re
from datetime import date, datetime, timedelta

from dateutil.parser import ParserError, parse

from apex.errors import InvalidInput

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

_DAYS_AHEAD = {"today": 0, "tomorrow": 1, "day after tomorrow": 2, "the day after tomorrow": 2}
_LEAP_CYCLE = 8
"""The longest run of years without a 29 February (1896 to 1904, 2096 to 2104)."""

_MONTH = "(?P<month>" + "|".join((*MONTHS, *(name[:3] for name in MONTHS), "sept")) + r")\.?"
_DAY = "(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"  # codespell:ignore nd
_YEAR = "(?:,? (?P<year>(?:19|20|21)[0-9]{2}))?"
_WEEKDAY_FORM = re.compile(f"(?:on )?(?:next )?({'|'.join(WEEKDAYS)})")
_DISTANCE_FORM = re.compile(f"in ([0-9]{{1,3}}|a|{'|'.join(NUMBER_WORDS)}) (day|week)s?")
_ISO_FORM = re.compile("(?:on )?([0-9]{4}-[0-9]{2}-[0-9]{2})")
_MONTH_FORMS = (
    re.compile(f"(?:on )?(?:the )?{_DAY}(?: of)? {_MONTH}{_YEAR}"),
    re.compile(f"(?:on )?{_MONTH} (?:the )?{_DAY}{_YEAR}"),
)


def resolve_date(text: str, now: datetime) -> date | None:
    """The day that ``text`` names as a whole, or None where it names none.

    ``now`` must be aware; its own time zone decides which day is today. A weekday is its next occurrence after today.
    A day and month without a year is its next occurrence, today included. Raises ``InvalidInput`` where ``now`` is
    naive.
    """
    if now.tzinfo is None:
        raise InvalidInput("the moment against which dates are resolved must have a time zone")
    today, words = now.date(), " ".join(text.casefold().split())
    if words in _DAYS_AHEAD:
        return today + timedelta(days=_DAYS_AHEAD[words])
    if found := _WEEKDAY_FORM.fullmatch(words):
        return _next_weekday(WEEKDAYS.index(found[1]), today)
    if found := _DISTANCE_FORM.fullmatch(words):
        return today + timedelta(days=_count(found[1]) * (7 if found[2] == "week" else 1))
    if found := _ISO_FORM.fullmatch(words):
        return _calendar_day(found[1])
    for form in _MONTH_FORMS:
        if found := form.fullmatch(words):
            return _month_day(found["day"], found["month"], found["year"], today)
    return None


def _next_weekday(weekday: int, today: date) -> date:
    return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)


def _count(word: str) -> int:
    if word == "a":
        return 1
    return NUMBER_WORDS.index(word) + 1 if word in NUMBER_WORDS else int(word)


def _month_day(day: str, month: str, year: str | None, today: date) -> date | None:
    if year is not None:
        return _calendar_day(f"{day} {month} {year}")
    ahead = (_calendar_day(f"{day} {month} {today.year + later}") for later in range(_LEAP_CYCLE + 1))
    return next((found for found in ahead if found is not None and found >= today), None)


def _calendar_day(text: str) -> date | None:
    """The day, or None for one that the calendar does not have, such as 31 June."""
    try:
        return parse(text, default=datetime(1, 1, 1)).date()  # noqa: DTZ001 - only its date is used
    except ParserError:
        return None
