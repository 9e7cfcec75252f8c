"""All shapes of one scope in a tree, and the ways in which a goal runs through it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from apex.cache.templates import SLOT, Template
from apex.cache.text import Goal

LONGEST_VALUE = 10
"""Tokens; a longer span is never the value of a slot."""
MOST_STEPS = 800
"""A goal that needs more work than this is a miss: the answer comes in bounded time whatever is sent."""

Spans = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Node:
    """A place in the tree: where each literal leads, where a slot leads, and the templates that end here."""

    literals: "dict[str, Node]" = field(default_factory=dict)
    slot: "Node | None" = None
    templates: list[Template] = field(default_factory=list)
    needed: frozenset[str] | None = None
    """Literals of every shape from here on: a goal that lacks one need not go on."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Templates of one shape, and the spans of the goal that stand in its slots."""

    templates: list[Template]
    spans: Spans


class TooMuchWork(Exception):
    """The goal can be read in too many ways."""


class Shapes:
    """The tree; adding is quick, and so is finding whatever its size."""

    def __init__(self) -> None:
        self.root = Node()

    def leaf(self, shape: tuple[str, ...]) -> Node:
        """The node at the end of a shape, made where it is missing."""
        node = self.root
        for index, key in enumerate(shape):
            rest = frozenset(shape[index:]) - {SLOT}
            node.needed = rest if node.needed is None else node.needed & rest
            if key == SLOT:
                node.slot = node.slot or Node()
                node = node.slot
            else:
                node = node.literals.setdefault(key, Node())
        node.needed = frozenset()
        return node

    def fits(self, goal: Goal, start: int, end: int, plausible: Callable[[int, int], bool]) -> Iterator[Fit]:
        """Every way in which the tokens from ``start`` up to ``end`` fit a shape; raises ``TooMuchWork``."""
        return _Walk(goal.forms, frozenset(goal.forms), goal.fillers, end, plausible).run(self.root, start)


@dataclass(slots=True)
class _Walk:
    keys: tuple[str, ...]
    present: frozenset[str]
    fillers: tuple[bool, ...]
    end: int
    plausible: Callable[[int, int], bool]
    steps: int = 0

    def run(self, root: Node, start: int) -> Iterator[Fit]:
        waiting: list[tuple[Node, int, Spans]] = [(root, start, ())]
        while waiting:
            node, index, spans = waiting.pop()
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise TooMuchWork
            if index == self.end:
                if node.templates:
                    yield Fit(node.templates, spans)
                continue
            key = self.keys[index]
            literal = node.literals.get(key)
            if literal is not None and self.can_end(literal):
                waiting.append((literal, index + 1, spans))
            if self.fillers[index]:
                waiting.append((node, index + 1, spans))
            if node.slot is not None and self.can_end(node.slot):
                waiting += [
                    (node.slot, after, (*spans, (index, after)))
                    for after in range(index + 1, min(self.end, index + LONGEST_VALUE) + 1)
                    if self.leads_on(node.slot, after) and self.plausible(index, after)
                ]

    def can_end(self, node: Node) -> bool:
        return node.needed is None or node.needed <= self.present

    def leads_on(self, node: Node, index: int) -> bool:
        if index == self.end:
            return bool(node.templates)
        return node.slot is not None or self.keys[index] in node.literals or self.fillers[index]
