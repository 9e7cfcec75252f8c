"""Simulated providers: each behaves exactly as its traits say, and its tool's contract promises them, no better."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from apex.errors import ToolRejected
from apex.schema.contract import UndoOfAbsent
from apex.tools import Call
from infra.chaos.world import World

Nature = Literal["grants", "refuses", "refuses_a_second_call", "grants_much"]
"""What a provider thinks of a step: it does it; it refuses it and says so again; it refuses a call after another
with the same key (the way of "request in progress"); it does it and answers with a large document."""

_MUCH = "x" * 40_000


@dataclass(frozen=True, slots=True)
class Traits:
    """How a provider behaves. ``remembers`` is for how long it knows a key it has seen (zero: it knows no keys).
    ``settles_within`` is how long after its deadline a request may still land."""

    remembers: timedelta = timedelta(0)
    tells_result: bool = True
    undo_of_absent: UndoOfAbsent = UndoOfAbsent.FAILS
    settles_within: timedelta = timedelta(seconds=10)


@dataclass
class _Known:
    """What a provider remembers of a key."""

    seen: datetime
    answer: dict[str, Any] | None = None
    refused: bool = False


class Provider:
    """One provider, in one world."""

    def __init__(self, world: World, traits: Traits) -> None:
        self._world = world
        self._traits = traits

    def receive(self, call: Call) -> dict[str, Any]:
        """A request arrives; answers with what was applied now, or before under the same key."""
        key, now, nature = call.key, self._world.scheduler.now(), self._world.natures[call.step_id]
        known = self._recall(key)
        if known is not None and known.answer is not None:
            return known.answer
        if known is not None and (known.refused or nature == "refuses_a_second_call"):
            raise ToolRejected("refused, as before")
        if nature == "refuses":
            if self._traits.remembers:
                self._world.memory[key] = _Known(now, refused=True)
            raise ToolRejected("refused")
        if nature == "refuses_a_second_call" and call.attempt > 1:
            raise ToolRejected("a request with this key is in progress")
        found = answer(key, nature)
        if self._traits.remembers:
            self._world.memory[key] = _Known(known.seen if known else now, answer=found)
        self._world.ledger.apply(key, now)
        return found

    def take_back(self, key: str) -> None:
        """The effect of this key is to be undone; what happens where there is none is a matter of the traits."""
        ledger, now = self._world.ledger, self._world.scheduler.now()
        if ledger.visible(key) > 0:
            ledger.undo(key, now)
            return
        if ledger.applied[key]:
            return  # undone before: an undo may be repeated
        if self._traits.undo_of_absent is UndoOfAbsent.FENCES:
            self._world.memory[key] = _Known(now, refused=True)
        elif self._traits.undo_of_absent is UndoOfAbsent.FAILS:
            ledger.absent_undone.append(key)
            raise ToolRejected("there is nothing to undo")

    def find(self, key: str) -> tuple[str, dict[str, Any] | None]:
        """Whether it happened: APPLIED (with the answer, where the provider still tells it), NOT_SEEN or NEVER."""
        if self._world.ledger.visible(key) > 0:
            return "APPLIED", answer(key, "grants") if self._traits.tells_result else None
        return ("NOT_SEEN" if self._recall(key) is None else "NEVER"), None

    def _recall(self, key: str) -> _Known | None:
        known = self._world.memory.get(key)
        if not isinstance(known, _Known) or self._world.scheduler.now() >= known.seen + self._traits.remembers:
            return None
        return known


def answer(key: str, nature: str) -> dict[str, Any]:
    """What a provider answers; a large document where its nature says so."""
    return {"ref": f"r-{key}", "note": _MUCH if nature == "grants_much" else ""}
