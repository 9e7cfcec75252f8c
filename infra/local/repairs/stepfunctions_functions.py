"""The functions that Step Functions adds to JSONata, in Python.

They follow the engine's conventions: an undefined argument arrives as ``None``, JSON null as ``NULL_VALUE``, and a
result of ``None`` is undefined, which Step Functions treats as an error when it is all an expression yields.
"""

import datetime
import hashlib
import json
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from jsonata import JException
from jsonata.utils import Utils

_ALGORITHMS: Mapping[str, str] = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}


def for_engine(value: Any) -> Any:
    """Copy a JSON value for the engine, which reads ``None`` as undefined, knows no dates, and may change it."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        return {key: for_engine(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_engine(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def _refuse(function: str, position: int) -> JException:
    return JException(f"T0410: Argument {position} of function {function} does not match function signature")


def _number(function: str, position: int, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refuse(function, position)
    return value


def _uuid() -> str:
    return str(uuid.uuid4())


def _hash(text: Any = None, algorithm: Any = None) -> str | None:
    if text is None or algorithm is None:
        return None
    if not isinstance(text, str):
        raise _refuse("hash", 1)
    if algorithm not in _ALGORITHMS:
        raise JException(f"D3137: Hash algorithm {algorithm!r} must be one of {', '.join(_ALGORITHMS)}")
    return hashlib.new(_ALGORITHMS[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _parse(text: Any = None) -> Any:
    if text is None:
        return None
    if not isinstance(text, str):
        raise _refuse("parse", 1)
    try:
        return for_engine(json.loads(text))
    except ValueError as error:
        raise JException(f"D3137: {error}") from error


def _random(seed: Any = None) -> float:
    """A number from 0 up to 1; a seed makes it repeatable, though it is not the number that AWS draws for that seed."""
    source = random.Random() if seed is None else random.Random(_number("random", 1, seed))  # noqa: S311 # nosec B311
    return source.random()


def _partition(items: Any = None, size: Any = None) -> list[Any] | None:
    if items is None:
        return None
    if not isinstance(items, list):
        raise _refuse("partition", 1)
    step = int(_number("partition", 2, size))
    if step < 0:
        raise JException("D3137: the size of a partition must not be negative")
    return [items[start : start + step] for start in range(0, len(items), step)] or None if step else None


def _range(first: Any = None, last: Any = None, step: Any = None) -> Any:
    """From ``first`` by ``step`` to ``last``, included when it is reached; a sequence, so one number is just itself."""
    if first is None or last is None or step is None:
        return None
    start, stop, by = (int(_number("range", position, value)) for position, value in enumerate((first, last, step), 1))
    if by == 0:
        return None
    numbers = list(range(start, stop + (1 if by > 0 else -1), by))
    return numbers if len(numbers) > 1 else next(iter(numbers), None)


def _eval(*_: Any) -> Any:
    raise JException("D3141: $eval is not supported by Step Functions; use $parse to read JSON text")


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "eval": _eval,
    "hash": _hash,
    "parse": _parse,
    "partition": _partition,
    "random": _random,
    "range": _range,
    "uuid": _uuid,
}
