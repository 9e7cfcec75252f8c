"""The wording of a worked example, and how a goal is aligned with it.

"Book a flight to {destination:place} {day:date}" fits a goal when every literal word is there, in order, with nothing
between, and each slot covers a span that is one entity of its kind. Roles are bound by position alone, so "from A to
B" is never swapped.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from apex.planning.entities import DESCRIPTIONS, Entity, Kind, straight
from apex.planning.goals import CLOSING, OPENING, Goal, Reading, Token, tokenise

_SLOT = re.compile(r"\{([^{}]*)\}")
_SLOT_NAME = re.compile("[a-z][a-z0-9_]*")
_NAMES = {Kind.PLACE, Kind.PERSON}


@dataclass(frozen=True, slots=True)
class Slot:
    """A gap in the wording, to be filled with one entity."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Alignment:
    """One way in which a goal fits a wording.

    ``certain`` is false where the words of a name were taken as one only because they are capitalised, while the goal
    capitalises ordinary words too, so that capitals tell nothing ("BOOK A FLIGHT TO PARIS ONE WAY").
    """

    entities: Mapping[str, Entity]
    certain: bool


@dataclass(frozen=True)
class Template:
    """A wording: literal tokens and slots in order."""

    text: str
    elements: tuple[Token | Slot, ...]

    @cached_property
    def slots(self) -> Mapping[str, Kind]:
        """The kinds of the slots by name."""
        return MappingProxyType({item.name: item.kind for item in self.elements if isinstance(item, Slot)})

    @cached_property
    def literals(self) -> tuple[Token, ...]:
        """The literal tokens in order."""
        return tuple(item for item in self.elements if isinstance(item, Token))

    @cached_property
    def shape(self) -> tuple[str, ...]:
        """What decides which goals fit: two wordings of the same shape fit the same goals."""
        return tuple(f"{{{item.kind}}}" if isinstance(item, Slot) else item.key for item in self.elements)

    @property
    def shown(self) -> str:
        """The wording as people are shown it, slots in angle brackets."""
        return _SLOT.sub(lambda found: f"<{found[1].partition(':')[0]}>", self.text)

    def alignments(self, goal: Goal) -> list[Alignment]:
        """Every way in which the goal fits, but no more than two: a second one already means that it is ambiguous."""
        found = [alignment for reading in goal.readings for alignment in _Search(self, goal, reading).run()]
        return found[:2]

    def expected(self, goal: Goal) -> tuple[int, str]:
        """How far the goal can be followed: the number of elements that fit, and what was expected after them."""
        reached = max((_reach(self, goal, reading) for reading in goal.readings), default=0)
        if reached == len(self.elements):
            return reached, "the end of the goal"
        element = self.elements[reached]
        return reached, DESCRIPTIONS[element.kind] if isinstance(element, Slot) else f"“{element.text}”"


def parse_template(text: str, problems: list[str]) -> Template:
    """Read a wording; whatever is wrong with it is added to ``problems``."""
    text = unicodedata.normalize("NFC", text)
    elements: list[Token | Slot] = []
    after = 0
    for found in _SLOT.finditer(text):
        elements += tokenise(text[after : found.start()])
        if not _stands_apart(text[: found.start()][-1:], text[found.end() :][:1]):
            problems.append(f"{found[0]} must stand apart from the words next to it")
        elements += _slot(found[1], problems)
        after = found.end()
    elements += tokenise(text[after:])
    while elements and isinstance(last := elements[-1], Token) and last.text in {".", "!"}:
        elements.pop()
    template = Template(text, tuple(elements))
    _check(template, problems)
    return template


def _stands_apart(before: str, behind: str) -> bool:
    return before in ("", " ", *OPENING) and behind in ("", " ", *CLOSING)


def _slot(declared: str, problems: list[str]) -> list[Slot]:
    name, _, kind = (part.strip() for part in declared.partition(":"))
    if not _SLOT_NAME.fullmatch(name):
        problems.append(f"{{{declared}}}: a slot's name is lower case letters, digits and underscores")
    elif kind not in tuple(Kind):
        problems.append(f"{{{declared}}}: the kind of a slot is one of {', '.join(Kind)}")
    else:
        return [Slot(name, Kind(kind))]
    return []


def _check(template: Template, problems: list[str]) -> None:
    names = [item.name for item in template.elements if isinstance(item, Slot)]
    problems += [f"the slot {name} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if any("{" in token.text or "}" in token.text for token in template.literals):
        problems.append("a brace is left over: slots are written {name:kind}")
    if not any(token.key.isalpha() for token in template.literals):
        problems.append("the goal has no literal word: it would fit anything")


def _reach(template: Template, goal: Goal, reading: Reading) -> int:
    search = _Search(template, goal, reading)
    search.run()
    return search.reached


class _Span(NamedTuple):
    slot: str
    first: int
    after: int
    entity: Entity


_Spans = tuple[_Span, ...]


@dataclass(slots=True)
class _Search:
    """All alignments of one reading; each (element, token) pair is looked at once, so the work is bounded."""

    template: Template
    goal: Goal
    reading: Reading
    reached: int = 0
    _known: dict[tuple[int, int], list[_Spans]] = field(default_factory=dict)

    def run(self) -> list[Alignment]:
        return [self._alignment(spans) for spans in self._from(0, self.reading.start)]

    def _from(self, element: int, token: int) -> list[_Spans]:
        self.reached = max(self.reached, element)
        if element == len(self.template.elements):
            return [()] if token == self.reading.end else []
        if (element, token) not in self._known:
            self._known[element, token] = self._look(element, token)
        return self._known[element, token]

    def _look(self, element: int, token: int) -> list[_Spans]:
        item = self.template.elements[element]
        if isinstance(item, Token):
            fits = token < self.reading.end and self.goal.keys[token] == item.key
            return self._from(element + 1, token + 1) if fits else []
        found: list[_Spans] = []
        for after in range(token + 1, self.reading.end + 1):
            if entity := self.goal.entity(item.kind, token, after):
                span = _Span(item.name, token, after, entity)
                found += [(span, *rest) for rest in self._from(element + 1, after)]
        return found[:2]

    def _alignment(self, spans: _Spans) -> Alignment:
        entities = {span.slot: span.entity for span in spans}
        leaning = any(entity.kind in _NAMES and _capitals(entity.text) > 1 for entity in entities.values())
        return Alignment(MappingProxyType(entities), not leaning or self._written_alike(spans))

    def _written_alike(self, spans: _Spans) -> bool:
        """Whether the goal writes its ordinary words as the example does, but for the first letter of all."""
        inside = {index for span in spans for index in range(span.first, span.after)}
        outside = [index for index in range(self.reading.start, self.reading.end) if index not in inside]
        words = [self.goal.tokens[index].text for index in outside]
        wanted = [token.text for token in self.template.literals]
        # Someone may begin with a small letter, and what follows "please" does.
        opens = bool(outside) and outside[0] == self.reading.start
        return _case(words, opens) == _case(wanted, opens)


def _case(words: list[str], opens: bool) -> list[str]:
    words = list(map(straight, words))
    return [words[0][:1].casefold() + words[0][1:], *words[1:]] if opens else words


def _capitals(name: str) -> int:
    return sum(word[:1].isupper() for word in name.split())
