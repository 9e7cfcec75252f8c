"""Reading what callers send: text, dates, whole numbers, money. Anything unfit is a 422 that names the field.

Money is a decimal string outside and a whole number of cents inside, so no amount passes through a float.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from infra.local.providers.messages import Refusal

_MONEY = re.compile(r"(?P<whole>0|[1-9][0-9]{0,9})(?:\.(?P<cents>[0-9]{2}))?", re.ASCII)
LONGEST_TEXT = 200


def _invalid(field: str, problem: str) -> Refusal:
    return Refusal(422, "invalid_request", f"{field} {problem}", field=field)


def text(source: Mapping[str, Any], field: str) -> str:
    """A non-empty string of at most 200 characters, trimmed."""
    value = optional_text(source, field)
    if value is None:
        raise _invalid(field, "is missing")
    return value


def optional_text(source: Mapping[str, Any], field: str) -> str | None:
    """Like ``text``, or None where the field is absent or null."""
    value = source.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_TEXT:
        raise _invalid(field, f"must be a text of 1 to {LONGEST_TEXT} characters")
    return value.strip()


def date(source: Mapping[str, Any], field: str) -> dt.date:
    """A calendar date written YYYY-MM-DD, in the years 1970 to 2199 (adding nights cannot overflow)."""
    value = text(source, field)
    try:
        day = dt.date.fromisoformat(value)
    except ValueError:
        raise _invalid(field, "must be a date written YYYY-MM-DD") from None
    if day.isoformat() != value or not 1970 <= day.year < 2200:
        raise _invalid(field, "must be a date written YYYY-MM-DD")
    return day


def whole(source: Mapping[str, Any], field: str, *, least: int, most: int) -> int:
    """A whole number between ``least`` and ``most``, both included."""
    value = source.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _invalid(field, f"must be a whole number from {least} to {most}")
    return value


def number(source: Mapping[str, Any], field: str, *, least: float, most: float) -> float:
    """A finite number between ``least`` and ``most``, both included."""
    value = source.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _invalid(field, f"must be a number from {least:g} to {most:g}")
    return value


def cents(source: Mapping[str, Any], field: str) -> int:
    """Money as cents, from a decimal string such as ``"900"`` or ``"900.00"``; a JSON number is refused."""
    value = source.get(field)
    match = _MONEY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _invalid(field, 'must be an amount written as a decimal string, such as "900.00"')
    return int(match["whole"]) * 100 + int(match["cents"] or 0)


def money(amount: int) -> str:
    """Cents as a decimal string with two places."""
    return f"{amount // 100}.{amount % 100:02d}"


def only(source: Mapping[str, Any], *fields: str) -> None:
    """Refuses fields nobody reads: a misspelt optional field must not be dropped in silence."""
    unknown = sorted(set(source) - set(fields))
    if unknown:
        raise _invalid(unknown[0], "is not a field of this request")


def pick(least: int, most: int, *about: str) -> int:
    """A number that looks random and is always the same for the same words, in every process."""
    digest = hashlib.sha256("\x1f".join(about).encode()).digest()
    return least + int.from_bytes(digest[:8]) % (most - least + 1)
