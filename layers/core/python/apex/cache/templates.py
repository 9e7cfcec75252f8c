"""Goals as templates: literals, and slots where the plan's own arguments stood."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from apex.cache.kinds import kind_of
from apex.cache.text import Goal, Reading, readings
from apex.cache.words import ARTICLES

SLOT = "\0"
"""The key of a slot in a shape; no token has it."""

Arguments = tuple[tuple[str, str], ...]
"""Names and values as they stand in the goal, in the order of the plan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a goal becomes: the tool calls, and the arguments that the goal itself supplies."""

    intent: str
    arguments: Arguments


@dataclass(eq=False, slots=True)
class Template:
    """A wording that a proven plan carries out; ``shape`` holds literal keys and ``SLOT`` for each of ``slots``."""

    id: int
    intent: str
    shape: tuple[str, ...]
    slots: tuple[str, ...]
    fillers: frozenset[str]
    words: frozenset[str]
    articles: frozenset[str]
    asks: bool
    wonders: bool
    good: int = 1
    bad: int = 0

    def same(self, other: "Template") -> bool:
        """Whether both are the same wording for the same thing."""
        return (self.intent, self.shape, self.slots, self.fillers, self.words) == (
            other.intent,
            other.shape,
            other.slots,
            other.fillers,
            other.words,
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """An argument with the span of the goal where it stands."""

    name: str
    first: int
    after: int


def locate(goal: Goal, arguments: Arguments) -> tuple[Placed, ...] | None:
    """Where the arguments stand, from left to right; None where one is absent or it could stand in several places."""
    placed: list[Placed] = []
    for value, names in _by_value(arguments):
        found = list(_occurrences(goal.keys, Goal.read(value).keys))
        if len(found) != len(names) or len({*names}) != 1 < len(names):
            return None
        placed += [Placed(name, *span) for name, span in zip(names, found, strict=True)]
    placed.sort(key=lambda item: item.first)
    if any(left.after > right.first for left, right in pairwise(placed)):
        return None
    return tuple(placed)


def induce(number: int, goal: Goal, intent: str, placed: Sequence[Placed], *, wonders: bool) -> Template | None:
    """The template of a goal, polite words around it left out; None where no literal word is left."""
    lowest = placed[0].first if placed else len(goal.keys)
    highest = placed[-1].after if placed else 1
    shortest = min(readings(goal.keys, lowest, highest), key=lambda reading: reading.end - reading.start)
    shape = tuple(_shape(goal, placed, shortest))
    if not any(key != SLOT and key[0].isalpha() for key in shape):
        return None
    inside = {index for item in placed for index in range(item.first, item.after)}
    fillers, words = fillers_outside(goal, shortest, inside), wording(goal, shortest, inside)
    return Template(
        number,
        intent,
        shape,
        tuple(item.name for item in placed),
        fillers,
        words,
        articles(goal, shortest, inside),
        goal.asks,
        wonders,
    )


def fillers_outside(goal: Goal, reading: Reading, inside: Container[int]) -> frozenset[str]:
    """The fillers of a reading that are in no slot; articles do not count."""
    return frozenset(
        goal.keys[index]
        for index in range(reading.start, reading.end)
        if goal.fillers[index] and index not in inside and goal.keys[index] not in ARTICLES
    )


def wording(goal: Goal, reading: Reading, inside: Container[int]) -> frozenset[str]:
    """The words of a reading that are neither fillers nor in a slot."""
    return frozenset(
        goal.keys[index]
        for index in range(reading.start, reading.end)
        if not goal.fillers[index] and index not in inside
    )


def articles(goal: Goal, reading: Reading, inside: Container[int]) -> frozenset[str]:
    """The articles outside of the slots: "the car" is one that was spoken of, "a car" is any."""
    found = {goal.keys[index] for index in range(reading.start, reading.end) if index not in inside}
    return frozenset("the" if key == "the" else "a" for key in found & ARTICLES)


def span_kind(keys: tuple[str, ...]) -> str:
    """The kind of a value, whatever article it starts with."""
    return kind_of(keys[1:] if len(keys) > 1 and keys[0] in ARTICLES else keys)


def value_key(keys: Sequence[str]) -> str:
    """What two values are compared by."""
    first = 0
    while first < len(keys) - 1 and keys[first] in ARTICLES:
        first += 1
    return " ".join(keys[first:])


def _shape(goal: Goal, placed: Sequence[Placed], reading: Reading) -> Iterator[str]:
    spans = {item.first: item.after for item in placed}
    index = reading.start
    while index < reading.end:
        if index in spans:
            yield SLOT
            index = spans[index]
            continue
        if not goal.fillers[index]:
            yield goal.forms[index]
        index += 1


def _by_value(arguments: Arguments) -> list[tuple[str, list[str]]]:
    grouped: dict[str, list[str]] = {}
    for name, value in arguments:
        grouped.setdefault(value, []).append(name)
    return list(grouped.items())


def _occurrences(keys: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[int, int]]:
    size = len(wanted)
    if size:
        for first in range(len(keys) - size + 1):
            if tuple(keys[first : first + size]) == tuple(wanted):
                yield first, first + size
