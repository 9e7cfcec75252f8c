"""The JSONata that state machines are mostly made of, without the engine: paths, and two of them compared or joined.

Only what is beyond doubt is answered here. Where an expression meets anything that JSONata treats in its own way (a
list in the place of an object, something missing, null, a text beside a number), the engine has to say what it means.
"""

import functools
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

UNSURE = object()
"""The answer where only the engine knows."""

_NAME = r"[A-Za-z_]\w*"
_PATH = rf"\${_NAME}(?:\.{_NAME}|\[\d{{1,9}}\]|\[\${_NAME}\])*"
_OPERAND = rf"{_PATH}|\$count\({_PATH}\)|\d{{1,9}}|'[\w -]*'"
_EXPRESSION = re.compile(rf"\s*({_OPERAND})(?:\s*(>=|<=|!=|[<>=+&-])\s*({_OPERAND}))?\s*")
_STEP = re.compile(rf"[$.](?P<name>{_NAME})|\[(?P<index>\d+)\]|\[\$(?P<variable>{_NAME})\]")

_ON_NUMBERS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "!=": operator.ne,
    "+": operator.add,
    "-": operator.sub,
}
_ON_TEXTS: Mapping[str, Callable[[Any, Any], Any]] = {"=": operator.eq, "!=": operator.ne, "&": operator.add}

Scope = tuple[Mapping[str, Any], Mapping[str, Any]]
"""``$states`` and the variables."""
Operand = Callable[[Scope], Any]


def answer(source: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """What the expression yields: a text, a number, a truth value or an object of the data; or ``UNSURE``."""
    evaluate = _compiled(source)
    return UNSURE if evaluate is None else evaluate((states, variables))


@functools.lru_cache(maxsize=4096)
def _compiled(source: str) -> Operand | None:
    parts = _EXPRESSION.fullmatch(source)
    if parts is None:
        return None
    first, sign, second = parts.groups()
    if sign is None:
        return _operand(first) if first.startswith("$") else None
    return _binary(sign, _operand(first), _operand(second))


def _binary(sign: str, first: Operand, second: Operand) -> Operand:
    by_kind = {int: _ON_NUMBERS.get(sign), str: _ON_TEXTS.get(sign)}

    def evaluate(scope: Scope) -> Any:
        left, right = first(scope), second(scope)
        operate = by_kind.get(type(left))
        if operate is None or type(left) is not type(right):
            return UNSURE
        return operate(left, right)

    return evaluate


def _operand(text: str) -> Operand:
    if text.startswith("'"):
        return lambda _: text[1:-1]
    if text.isdigit():
        return lambda _: int(text)
    if text.startswith("$count("):
        return _count(_path(text.removeprefix("$count(")[:-1]))
    path = _path(text)

    def evaluate(scope: Scope) -> Any:
        found = path(scope)
        kind = type(found)
        is_plain = kind in {str, int, bool, dict} or (kind is float and math.isfinite(found))
        return found if is_plain and found is not scope[0] else UNSURE

    return evaluate


def _count(path: Operand) -> Operand:
    def evaluate(scope: Scope) -> Any:
        found = path(scope)
        return len(found) if type(found) is list else UNSURE

    return evaluate


def _path(text: str) -> Operand:
    """What is at the end of a path, of whatever kind, or ``UNSURE``."""
    (_, root), *steps = ((step.lastgroup, step[step.lastgroup or 0]) for step in _STEP.finditer(text))

    def evaluate(scope: Scope) -> Any:
        states, variables = scope
        value: Any = states if root == "states" else variables.get(root, UNSURE)
        for kind, name in steps:
            if kind == "name":
                value = value.get(name, UNSURE) if isinstance(value, dict) else UNSURE
            else:
                value = _item(value, int(name) if kind == "index" else variables.get(name))
            if value is UNSURE:
                break
        return value

    return evaluate


def _item(value: Any, index: Any) -> Any:
    if not isinstance(value, list) or type(index) is not int or not 0 <= index < len(value):
        return UNSURE
    found = value[index]
    return UNSURE if isinstance(found, list) else found
