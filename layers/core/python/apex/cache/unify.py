"""Unification: a goal is an instance of a template, in every way it can be read, or it is not."""

from dataclasses import dataclass
from enum import StrEnum

from apex.cache.kinds import OPEN, kind_of, token_kind
from apex.cache.shapes import Fit, Shapes, TooMuchWork
from apex.cache.templates import Arguments, Template, span_kind, value_key
from apex.cache.text import Goal, Reading, readings
from apex.cache.values import FORBIDDEN, Values


class Grade(StrEnum):
    """How well a value is known."""

    KNOWN = "known"
    TYPED = "typed"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Match:
    """A template with the goal's own values in its slots, and why it may not be served (``refusals``)."""

    template: Template
    reading: Reading
    spans: tuple[tuple[int, int], ...]
    grades: tuple[Grade, ...]
    refusals: tuple[str, ...]

    def arguments(self, goal: Goal) -> Arguments:
        """Names and values, in the order in which they stand in the goal."""
        return tuple((name, goal.value(*span)) for name, span in zip(self.template.slots, self.spans, strict=True))

    def outcome(self, goal: Goal) -> tuple[object, ...]:
        """What would happen: equal for two matches that do the same."""
        found = (
            (name, value_key(goal.keys[first:after]))
            for name, (first, after) in zip(self.template.slots, self.spans, strict=True)
        )
        return (self.template.intent, *sorted(found))


class Unifier:
    """Finds every match of a goal among the templates of one scope."""

    def __init__(self, shapes: Shapes, values: Values) -> None:
        self.shapes = shapes
        self.values = values

    def matches(self, goal: Goal) -> list[Match]:
        """All matches, the refused ones included; raises ``TooMuchWork``."""
        keys = goal.keys
        remembered: dict[tuple[int, int], bool] = {}

        def plausible(first: int, after: int) -> bool:
            span = (first, after)
            if span not in remembered:
                remembered[span] = self.values.plausible(keys[first:after])
            return remembered[span]

        found: list[Match] = []
        for reading in readings(keys):
            for fit in self.shapes.fits(keys, reading.start, reading.end, plausible):
                found += [self._match(goal, reading, fit, template) for template in fit.templates]
                if len(found) > 200:
                    raise TooMuchWork
        return found

    def _match(self, goal: Goal, reading: Reading, fit: Fit, template: Template) -> Match:
        grades, refusals = [], []
        opened = 0
        for number, (name, (first, after)) in enumerate(zip(template.slots, fit.spans, strict=True)):
            grade, refusal = self._grade(template.intent, name, goal.keys[first:after])
            grades.append(grade)
            refusals += refusal
            touches = number + 1 < len(fit.spans) and fit.spans[number + 1][0] == after
            touches = touches or (number > 0 and fit.spans[number - 1][1] == first)
            if grade is Grade.UNSEEN:
                opened += 1
                if touches:
                    refusals.append("unseen value beside another slot")
        if goal.asks and not template.asks:
            refusals.append("question, not an order")
        if template.bad:
            refusals.append("served wrongly before")
        refusals += [
            f"“{phrase}” is an argument" for phrase in reading.dropped if self._is_argument(template.intent, phrase)
        ]
        return Match(template, reading, fit.spans, tuple(grades), tuple(refusals))

    def _is_argument(self, intent: str, phrase: str) -> bool:
        words = phrase.split()
        tails = (" ".join(words[at:]) for at in range(len(words)))
        return any(owner[0] == intent for tail in tails for owner in self.values.owners.get(tail, ()))

    def _grade(self, intent: str, name: str, keys: tuple[str, ...]) -> tuple[Grade, list[str]]:
        slot, key = (intent, name), value_key(keys)
        facts = self.values.slots[slot]
        if key in facts.values:
            return Grade.KNOWN, []
        kind = span_kind(keys)
        refusals: list[str] = []
        if any(owner[0] == intent for owner in self.values.owners.get(key, ())):
            refusals.append(f"“{key}” belongs to another argument")
        if kind not in facts.kinds:
            refusals.append(f"{name} has never been a {kind}")
        if kind != OPEN:
            return Grade.TYPED, refusals
        if len(keys) > max(facts.longest, 2):
            refusals.append("longer than any value before")
        if FORBIDDEN.intersection(keys):
            refusals.append("forbidden word in an unseen value")
        if any(token_kind(word) in "cdmony$¤" for word in keys):
            refusals.append("a time or a number inside an unseen value")
        return Grade.UNSEEN, refusals
