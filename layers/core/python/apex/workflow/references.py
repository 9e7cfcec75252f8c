"""References: how a step's input takes values from the results of the steps it depends on.

``{{s1.flight_id}}``            the field ``flight_id`` of the result of step ``s1``
``{{s1.items[0].price}}``       deeper, by field names and list positions
``{{s1}}``                      the whole result
``Trip {{s3.booking_id}} booked``   inside text: strings as they are, other values as compact JSON
``{{{{``                        stands for two literal opening braces; every other text stays as it is

A string that is nothing but one reference becomes the value itself, with its type. Spaces just inside the
braces do not matter. That is the whole language: no filters, no defaults, no arithmetic. Two opening braces
that begin no reference are an error and not text, so that a slip never reaches a tool as literal braces. What
a result holds is never read again: braces in a result are data. Names of fields take no references.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apex.errors import ReferenceInvalid

MAX_RESOLVED_CHARACTERS = 1_000_000
"""How much JSON the references of one input may bring in; text that doubles from step to step ends here."""

_STEP = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
_FIELD = r"\.[A-Za-z_][A-Za-z0-9_-]*"
_POSITION = r"\[[0-9]{1,9}\]"
_REFERENCE = rf"\{{\{{[ \t]*(?P<step>{_STEP})(?P<path>(?:{_FIELD}|{_POSITION})*)[ \t]*\}}\}}"
_TOKEN = re.compile(rf"(?P<escape>\{{{{4}})|(?P<lone>\{{)(?=\{{\{{[^{{])|{_REFERENCE}|(?P<open>\{{\{{)")
_PART = re.compile(r"\.([^.\[]+)|\[([0-9]+)\]")
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference as it stands in an input: ``path`` holds field names (str) and list positions (int)."""

    step_id: str
    path: tuple[str | int, ...]
    text: str


def references_in(value: Any) -> list[Reference]:
    """Every reference in a JSON value, in the order of reading, repeated ones repeated.

    Raises ``ReferenceInvalid`` naming every place where two opening braces begin no reference.
    """
    problems: list[str] = []
    found = list(_walk(value, "", problems))
    if problems:
        raise _invalid(problems)
    return found


def parse_text(text: str) -> list[str | Reference]:
    """The literal pieces and references of one string, in order.

    Raises ``ReferenceInvalid`` where two opening braces begin no reference.
    """
    pieces: list[str | Reference] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match["open"]:
            raise ReferenceInvalid(
                f"{_excerpt(text, match.start())} is no reference; literal braces are written {{{{{{{{"
            )
        pieces.append(text[end : match.start()])
        if match["escape"]:
            pieces.append("{{")
        elif match["lone"]:
            pieces.append("{")
        else:
            pieces.append(Reference(match["step"], _path(match["path"]), match[0]))
        end = match.end()
    pieces.append(text[end:])
    return [piece for piece in pieces if piece != ""]


def resolve(value: Any, results: Mapping[str, Any]) -> Any:
    """The value with every reference replaced from ``results`` (by step id; the declared dependencies only).

    Parts without references are handed back as the same objects. Raises ``ReferenceInvalid`` with every
    problem: malformed references, steps that are not in ``results``, fields that a result does not have, or
    more than ``MAX_RESOLVED_CHARACTERS`` of JSON brought in.
    """
    problems: list[str] = []
    found = list(_walk(value, "", problems))
    values: dict[tuple[str, tuple[str | int, ...]], Any] = {}
    for reference in found:
        key = (reference.step_id, reference.path)
        if key not in values:
            values[key] = _look_up(reference, results, problems)
    if problems:
        raise _invalid(problems)
    _check_size(found, values)
    return (
        _replace(value, lambda reference: values[reference.step_id, reference.path])
        if found or _has_braces(value)
        else value
    )


def render(value: Any) -> str:
    """A value as it appears inside text: strings as they are, everything else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _walk(value: Any, place: str, problems: list[str]) -> Iterator[Reference]:
    if isinstance(value, str):
        if "{{" in value:
            try:
                yield from (piece for piece in parse_text(value) if isinstance(piece, Reference))
            except ReferenceInvalid as error:
                problems.append(f"{place or 'input'}: {error.message}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if "{{" in key and re.search(_REFERENCE, key):
                problems.append(f"{place or 'input'}: the name of a field cannot hold a reference")
            yield from _walk(item, f"{place}.{key}" if place else key, problems)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _walk(item, f"{place}[{index}]", problems)


def _look_up(reference: Reference, results: Mapping[str, Any], problems: list[str]) -> Any:
    if reference.step_id not in results:
        problems.append(f"{reference.text}: step {reference.step_id} is not a dependency with a result")
        return None
    value = results[reference.step_id]
    for part in reference.path:
        value = _member(value, part)
        if value is _MISSING:
            where = f"position {part}" if isinstance(part, int) else f"field {part}"
            problems.append(f"{reference.text}: the result of {reference.step_id} has no {where} there")
            return None
    return value


def _member(value: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return value[part] if isinstance(value, (list, tuple)) and part < len(value) else _MISSING
    return value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING


def _check_size(found: list[Reference], values: Mapping[tuple[str, tuple[str | int, ...]], Any]) -> None:
    # Measured before anything is built, so that an oversized input is never held in memory.
    sizes = {key: len(render(value)) for key, value in values.items()}
    total = sum(sizes[reference.step_id, reference.path] for reference in found)
    if total > MAX_RESOLVED_CHARACTERS:
        raise ReferenceInvalid(
            f"the references bring in {total} characters; at most {MAX_RESOLVED_CHARACTERS} are allowed",
            characters=total,
        )


def _has_braces(value: Any) -> bool:
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, Mapping):
        return any(map(_has_braces, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_braces, value))


def _replace(value: Any, look_up: Callable[[Reference], Any]) -> Any:
    if not _has_braces(value):
        return value
    if isinstance(value, Mapping):
        return {key: _replace(item, look_up) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace(item, look_up) for item in value]
    pieces = parse_text(value)
    if len(pieces) == 1 and isinstance(pieces[0], Reference):
        return look_up(pieces[0])
    return "".join(piece if isinstance(piece, str) else render(look_up(piece)) for piece in pieces)


def _path(text: str) -> tuple[str | int, ...]:
    return tuple(name or int(position) for name, position in _PART.findall(text))


def _excerpt(text: str, start: int) -> str:
    piece = text[start : start + 40]
    return repr(piece if len(text) - start <= 40 else piece + "...")


def _invalid(problems: list[str]) -> ReferenceInvalid:
    listing = problems[0] if len(problems) == 1 else "".join(f"\n  - {problem}" for problem in problems)
    return ReferenceInvalid(listing, problems=problems)
