"""Risk factors: what in a tool call's input makes it a matter for a closer look."""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from apex.errors import SchemaInvalid

LARGE_AMOUNT = Decimal(10_000)
"""From here on an amount alone makes a call RED; the sign and the currency do not matter."""

_AMOUNTS = frozenset({"amount", "value", "quantity"})
_SCOPES = frozenset({"all", "global", "system"})
_FLAGS = frozenset({"force", "cascade", "admin"})
_FALSE_TEXTS = frozenset({"", "0", "false", "f", "no", "n", "off", "none", "null"})

_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")
_GROUPED_BY_POINTS = re.compile(r"\d{1,3}(\.\d{3})+,\d*|\d{1,3}(\.\d{3}){2,}")
_DECIMAL_COMMA = re.compile(r"\d+,\d{1,2}")
_NOT_FINITE = re.compile(r"[+-]?(s?nan\d*|inf(inity)?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RiskFactor:
    """One place of an input that raises the risk."""

    place: str
    reason: str
    is_amount: bool = False


def risk_factors(value: Any) -> list[RiskFactor]:
    """Every risk factor of an input, however deeply nested.

    They are: ``amount``, ``value`` or ``quantity`` of 10,000 or more (a number, or text such as ``"$20,000"``), a
    ``scope`` of all, global or system, and a truthy ``force``, ``cascade`` or ``admin``. Raises ``SchemaInvalid``
    naming every place where a number is NaN or infinite.
    """
    problems: list[str] = []
    factors = list(_walk(value, "", "", problems))
    if problems:
        raise SchemaInvalid("the input holds numbers that cannot be judged", problems)
    return factors


def _walk(value: Any, name: str, place: str, problems: list[str]) -> Iterator[RiskFactor]:
    """``name`` is the field the value belongs to; a list passes it on to its items."""
    if isinstance(value, Mapping):
        if name in _FLAGS and value:
            yield RiskFactor(place, f"{place} is set")
        for key, item in value.items():
            yield from _walk(item, _plain(str(key)), f"{place}.{key}" if place else str(key), problems)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _walk(item, name, f"{place}[{index}]", problems)
    elif isinstance(value, (float, Decimal)) and not math.isfinite(value):
        problems.append(f"{place or 'input'}: is not a finite number")
    elif name in _AMOUNTS:
        yield from _large(value, place, problems)
    elif name == "scope" and isinstance(value, str) and _plain(value) in _SCOPES:
        yield RiskFactor(place, f"{place} is {_plain(value)}")
    elif name in _FLAGS and is_truthy(value):
        yield RiskFactor(place, f"{place} is set")


def _large(value: Any, place: str, problems: list[str]) -> Iterator[RiskFactor]:
    if isinstance(value, str) and _NOT_FINITE.fullmatch(_plain(value)):
        problems.append(f"{place}: is not a finite number")
        return
    number = read_number(value)
    if number is not None and number.copy_abs() >= LARGE_AMOUNT:
        yield RiskFactor(place, f"{place} is {LARGE_AMOUNT:,} or more", is_amount=True)


def is_truthy(value: Any) -> bool:
    """Whether a flag counts as set. Text counts unless it plainly says no: what is unclear is not harmless."""
    return _plain(value) not in _FALSE_TEXTS if isinstance(value, str) else bool(value)


def read_number(value: Any) -> Decimal | None:
    """The number that a value is or that a text names, such as ``"$20,000"``, ``"20.000,50 EUR"``, ``"(1,500)"`` or
    ``"-2e4"``; None where it names none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    if not isinstance(value, str):
        return Decimal(value)
    text = re.sub(r"[\s_']", "", unicodedata.normalize("NFKC", value).replace("−", "-"))
    # From the first digit to the last, which leaves out currencies and brackets; done by place, because an
    # expression that strips both ends takes quadratic time on hostile text.
    places = [place for place, character in enumerate(text) if character.isdecimal()]
    if not places:
        return None
    first, last = places[0], places[-1]
    before, digits = text[:first], text[first : last + 1]
    sign = "-" if "-" in before or "(" in before else ""
    if before.endswith("."):
        digits = f"0.{digits}"
    if _GROUPED_BY_POINTS.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    elif _DECIMAL_COMMA.fullmatch(digits) and not _GROUPED.fullmatch(digits):
        digits = digits.replace(",", ".")
    try:
        number = Decimal(sign + digits.replace(",", ""))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()
