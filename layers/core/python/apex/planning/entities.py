"""Typed slots: what kind of thing a span of a goal is, and its value.

The question is always "is this whole span one entity of that kind?", never "which entities are in this text?": where
an entity stands is decided by the wording of a worked example. All recognisers are plain rules, so every process
gives the same answer.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from apex.planning.dates import NUMBER_WORDS, resolve_date
from apex.planning.names import is_person, is_place


class Kind(StrEnum):
    """The kinds of slots."""

    DATE = "date"
    PLACE = "place"
    PERSON = "person"
    AMOUNT = "amount"
    EMAIL = "email"
    NUMBER = "number"
    TEXT = "text"


DESCRIPTIONS = {
    Kind.DATE: "a date such as tomorrow, on Friday, 5 June or 2027-06-05",
    Kind.PLACE: "one place, its words capitalised",
    Kind.PERSON: "one person's name, its words capitalised",
    Kind.AMOUNT: "an amount with its currency, such as $900 or 900 EUR",
    Kind.EMAIL: "an email address",
    Kind.NUMBER: "a whole number",
    Kind.TEXT: 'text in quotes "like this"',
}
"""What a person is told when a slot could not be filled."""

PARTS = {kind: frozenset({"text"}) for kind in Kind} | {Kind.AMOUNT: frozenset({"text", "value", "currency"})}
"""What may follow a slot's name after a dot; ``text`` is always the original text."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One recognised span.

    ``text`` is the span as it was written. ``value`` is what tools get: an ISO date, a name, an email address, the
    inside of the quotes, an int, or for amounts ``{"currency": ISO 4217 code, "value": decimal string}``.
    """

    kind: Kind
    text: str
    value: Any

    def part(self, name: str | None) -> Any:
        """The value, or the part of it that ``name`` (one of ``PARTS``) stands for."""
        if name is None:
            return self.value
        return self.text if name == "text" else self.value[name]


def recognise(kind: Kind, text: str, now: datetime) -> Entity | None:
    """The span as one entity of that kind, or None.

    Relative dates are resolved against ``now``, which must be aware.
    """
    # Braces would let a goal write references to results ({{s1.card}}) into the plan it is bound to.
    if not text.strip() or "{" in text or "}" in text:
        return None
    if kind is Kind.DATE:
        day = resolve_date(text, now)
        return None if day is None else Entity(kind, text, day.isoformat())
    value = _READERS[kind](text)
    return None if value is None else Entity(kind, text, value)


def straight(text: str) -> str:
    """The text with typographic quotes and apostrophes replaced, character by character, by the ones on a keyboard."""
    return text.translate(_STRAIGHT)


_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})

_SYMBOLS = {"$": "USD", "us$": "USD", "€": "EUR", "£": "GBP"}
_CODES = (
    "USD",
    "EUR",
    "GBP",
    "JPY",
    "CHF",
    "CAD",
    "AUD",
    "NZD",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "INR",
    "SGD",
    "MXN",
)
_CURRENCIES = (
    _SYMBOLS
    | {code.casefold(): code for code in _CODES}
    | {"dollar": "USD", "dollars": "USD", "euro": "EUR", "euros": "EUR", "pound": "GBP", "pounds": "GBP", "yen": "JPY"}
)
_FIGURE = r"(?P<figure>[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?P<cents>\.[0-9]{1,2})?"
_BEFORE = "|".join(map(re.escape, (*_SYMBOLS, *map(str.casefold, _CODES))))
_AFTER = "|".join(map(re.escape, _CURRENCIES))
_AMOUNT_FORMS = (re.compile(f"(?P<currency>{_BEFORE}) ?{_FIGURE}"), re.compile(f"{_FIGURE} ?(?P<currency>{_AFTER})"))
_MAX_FIGURE = 15

_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"
)
_NUMBER = re.compile("[0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3}){1,2}")


def _read_amount(text: str) -> dict[str, str] | None:
    written = _one_line(text).casefold()
    for form in _AMOUNT_FORMS:
        found = form.fullmatch(written)
        if found and len(found["figure"]) <= _MAX_FIGURE:
            whole = found["figure"].replace(",", "").lstrip("0") or "0"
            return {"currency": _CURRENCIES[found["currency"]], "value": whole + (found["cents"] or "")}
    return None


def _read_place(text: str) -> str | None:
    name = straight(_one_line(text))
    return name if is_place(name) else None


def _read_person(text: str) -> str | None:
    name = straight(_one_line(text))
    return name if is_person(name) else None


def _read_email(text: str) -> str | None:
    return text if len(text) <= 254 and _EMAIL.fullmatch(text) else None


def _read_number(text: str) -> int | None:
    word = text.casefold()
    if word in NUMBER_WORDS:
        return NUMBER_WORDS.index(word) + 1
    return int(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def _read_text(text: str) -> str | None:
    quoted = straight(text)
    if len(quoted) < 3 or quoted[0] != '"' or quoted[-1] != '"' or '"' in quoted[1:-1]:
        return None
    return text[1:-1] if text[1:-1].strip() else None


def _one_line(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


_READERS: dict[Kind, Callable[[str], Any]] = {
    Kind.PLACE: _read_place,
    Kind.PERSON: _read_person,
    Kind.AMOUNT: _read_amount,
    Kind.EMAIL: _read_email,
    Kind.NUMBER: _read_number,
    Kind.TEXT: _read_text,
}
