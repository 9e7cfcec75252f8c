"""What kind of thing a span is, by rules alone: the same answer in every process."""

import re
from functools import lru_cache

from apex.cache.places import COUNTRIES, US_STATES
from apex.cache.words import (
    CLOCK,
    CLOCK_UNITS,
    CURRENCIES,
    DATE_UNITS,
    DAYS,
    MONTHS,
    NUMBER_WORDS,
    ORDINALS,
    SEASONS,
    TIME_LINKS,
)

OPEN = "open"
"""A name, a title, a thing: nothing that rules recognise."""
NUMBER, ORDINAL, AMOUNT, EMAIL, URL, IDENTIFIER = "number", "ordinal", "amount", "email", "url", "id"
DATE, CLOCK_TIME, MOMENT, DURATION, COUNTRY, STATE = "date", "clock", "moment", "duration", "country", "state"
TIMES = frozenset({DATE, CLOCK_TIME, MOMENT, DURATION})

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,}")
_URL = re.compile(r"(?:https?://\S+|www\.\S+)")
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(?:am|pm)?|[0-9]{1,2}(?:am|pm)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{2,4}|[0-9]{1,2}/[0-9]{1,2}")
_ORDINAL = re.compile(r"[0-9]+(?:st|nd|rd|th)")  # codespell:ignore nd
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_YEAR = re.compile(r"(?:1[5-9]|20|21)[0-9]{2}")
_AMOUNT = re.compile(r"[$€£¥][0-9]+(?:[.,][0-9]+)*[km]?")
_IDENTIFIER = re.compile(r"(?=.*[0-9])(?=.*[a-z])[a-z0-9._/-]+")


@lru_cache(maxsize=65536)
def token_kind(key: str) -> str:
    """The class of one token: a letter of a small alphabet that spans are read in."""
    if key in TIME_CLASS:
        return TIME_CLASS[key]
    if key in NUMBER_WORDS:
        return "n"
    for pattern, name in _TOKEN_CLASSES:
        if pattern.fullmatch(key):
            return name
    parts = key.split("-")
    if len(parts) > 1 and all(part in NUMBER_WORDS or part in ORDINALS for part in parts):
        return "o" if parts[-1] in ORDINALS else "n"
    return "l" if key in TIME_LINKS else "w"


_TOKEN_CLASSES = (
    (_CLOCK, "c"),
    (_DATE, "d"),
    (_ORDINAL, "o"),
    (_YEAR, "y"),
    (_NUMBER, "n"),
    (_AMOUNT, "$"),
    (_EMAIL, "@"),
    (_URL, "u"),
    (_IDENTIFIER, "i"),
)
TIME_CLASS = {
    **dict.fromkeys(MONTHS | DAYS | DATE_UNITS | SEASONS, "d"),
    **dict.fromkeys(CLOCK, "c"),
    **dict.fromkeys(CLOCK_UNITS, "m"),
    **dict.fromkeys(ORDINALS, "o"),
    **dict.fromkeys(CURRENCIES, "¤"),
}
_SINGLE = {"@": EMAIL, "u": URL, "i": IDENTIFIER, "$": AMOUNT, "o": ORDINAL, "y": NUMBER}


@lru_cache(maxsize=65536)
def kind_of(keys: tuple[str, ...]) -> str:
    """The kind of a span; its keys are lower case."""
    classes = "".join(map(token_kind, keys))
    if len(classes) == 1 and classes in _SINGLE:
        return _SINGLE[classes]
    if set(classes) == {"n"}:
        return NUMBER
    if "¤" in classes and set(classes) <= {"n", "¤", "$"} and classes[0] != "¤" and classes.count("¤") == 1:
        return AMOUNT
    time = _time_kind(classes)
    if time is not None:
        return time
    text = " ".join(keys)
    if text in COUNTRIES:
        return COUNTRY
    return STATE if text in US_STATES else OPEN


def _time_kind(classes: str) -> str | None:
    present = set(classes)
    if not present <= set("cdmoynl") or (classes[-1] == "l" and classes[-2:] not in {"ml", "dl"}):
        return None
    has_date, has_clock, has_unit = bool(present & {"d", "o"}), "c" in present, "m" in present
    if has_clock:
        return MOMENT if has_date else CLOCK_TIME
    if has_unit:
        return MOMENT if "d" in present else DURATION
    if "d" in present or ("y" in present and "o" in present):
        return DATE
    return ORDINAL if "o" in present and present <= {"o", "n"} else None
