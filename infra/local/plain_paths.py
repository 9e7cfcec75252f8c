"""JSONata paths from one object or list to the next: most expressions of a state machine, and no engine needed.

Only what is beyond doubt is answered here: a text, number or truth value at the end of a path that exists. Where a path
meets anything that JSONata treats in its own way (a list in the place of an object, something missing, null), the
engine has to say what it means.
"""

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

_PATH = re.compile(r"\$(?P<root>[A-Za-z_]\w*)(?P<steps>(?:\.[A-Za-z_]\w*|\[\d{1,9}\]|\[\$[A-Za-z_]\w*\])*)")
_STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|\[\$(?P<variable>\w+)\]")
_STATES = "states"

UNSURE = object()
"""The answer where only the engine knows."""

Step = tuple[str | None, str]
"""What kind of step it is (name, index or variable), and its text."""


@functools.lru_cache(maxsize=4096)
def _read(source: str) -> tuple[str, tuple[Step, ...]] | None:
    """Where a path starts and its steps; None for every other expression."""
    path = _PATH.fullmatch(source.strip())
    if path is None:
        return None
    return path["root"], tuple((step.lastgroup, step[step.lastgroup or 0]) for step in _STEP.finditer(path["steps"]))


def follow(source: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """What the expression yields, or ``UNSURE``."""
    path = _read(source)
    if path is None:
        return UNSURE
    root, steps = path
    value: Any = states if root == _STATES else variables.get(root, UNSURE)
    for kind, text in steps:
        if kind == "name":
            value = value.get(text, UNSURE) if isinstance(value, dict) else UNSURE
        else:
            value = _item(value, int(text) if kind == "index" else variables.get(text))
        if value is UNSURE:
            return UNSURE
    if type(value) in {str, int, bool} or (type(value) is float and math.isfinite(value)):
        return value
    return UNSURE


def _item(value: Any, index: Any) -> Any:
    if not isinstance(value, list) or type(index) is not int or not 0 <= index < len(value):
        return UNSURE
    found = value[index]
    return UNSURE if isinstance(found, list) else found
