"""Worlds of one step that orders an item, at the point where a test begins."""

from datetime import timedelta
from typing import Any

import pytest

from apex.adapters.memory import ManualClock
from apex.errors import StepUnknown
from apex.schema.ids import effect_key
from tests.unit.app.book import A_DAY, Book, Killed, Trouble, shop_tool
from tests.unit.app.world import World


def shop(
    *,
    probe: bool = False,
    window: timedelta = A_DAY,
    fences: bool = True,
    tells_result: bool = True,
    **declared: Any,
) -> tuple[World, Book]:
    """The step has not run yet."""
    book = Book(ManualClock(), window=window, fences=fences, tells_result=tells_result)
    return World(shop_tool(book, probe=probe, **declared), clock=book.clock), book


def lost(trouble: Trouble, **terms: Any) -> tuple[World, Book]:
    """The step's outcome is unknown, and the rollback has begun."""
    world, book = shop(**terms)
    book.next("apply", trouble)
    with pytest.raises(StepUnknown):
        world.run()
    world.roll_back()
    return world, book


def abandoned(trouble: Trouble, **terms: Any) -> tuple[World, Book]:
    """The attempt was killed and never reported, and the rollback has begun."""
    world, book = shop(**terms)
    book.next("apply", trouble)
    with pytest.raises(Killed):
        world.run()
    world.roll_back()
    return world, book


def row(world: World) -> dict[str, Any] | None:
    """The row of the step that writes one, if it is there."""
    return world.store.read_record("records", "acme", effect_key(world.ref.workflow_id, "s1", "run", 0))
