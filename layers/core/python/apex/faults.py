"""Named points around every boundary where a fault can be put in. In production nothing listens.

A test, the simulator or ``apex run --fail`` installs an injector; the application code only says where it is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum


class FaultPoint(StrEnum):
    """Where a fault may strike, in the order in which a step passes the points."""

    BEFORE_INTENT = "before_intent"
    AFTER_INTENT = "after_intent"
    AFTER_EFFECT = "after_effect"
    AFTER_OUTCOME = "after_outcome"
    BEFORE_UNDO = "before_undo"
    AFTER_UNDO = "after_undo"
    AFTER_COMPENSATION = "after_compensation"


@dataclass(frozen=True, slots=True)
class Reached:
    """Who is at the point."""

    point: FaultPoint
    step_id: str
    tool: str
    attempt: int


Injector = Callable[[Reached], None]
"""Called at every point; what it raises is raised there, and while it sleeps the code at that point sleeps."""

_injectors: list[Injector] = []


def reach(point: FaultPoint, step_id: str, tool: str, attempt: int) -> None:
    """Say that the code is at a point."""
    for injector in _injectors:
        injector(Reached(point, step_id, tool, attempt))


@contextmanager
def injected(injector: Injector) -> Iterator[None]:
    """Listen at every point of this process while the block runs."""
    _injectors.append(injector)
    try:
        yield
    finally:
        _injectors.remove(injector)
