"""Unification: every way in which a goal is an instance of a template, with what speaks against each."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from apex.cache.kinds import OPEN, TIMES, token_kind
from apex.cache.shapes import Fit, Shapes, TooMuchWork
from apex.cache.templates import Arguments, Template, articles, fillers_outside, span_kind, value_key, wording
from apex.cache.text import Goal, Reading, readings
from apex.cache.values import FORBIDDEN, Values
from apex.cache.words import AUXILIARIES, NEVER_LAST, QUESTION_WORDS

MOST_MATCHES = 40


class Grade(StrEnum):
    """How well a value is known."""

    KNOWN = "known"
    TYPED = "typed"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Match:
    """A template with the goal's own values in its slots.

    ``barred`` are the reasons that nothing can outvote; ``doubts`` keep it from being served without a verifier.
    """

    template: Template
    reading: Reading
    spans: tuple[tuple[int, int], ...]
    grades: tuple[Grade, ...]
    missing: frozenset[str]
    extra: frozenset[str]
    reworded: int
    definite: int
    barred: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def distance(self) -> tuple[int, int, int]:
        """How far the goal is from the template; of two matches that do the same, the nearer one is kept."""
        return len(self.doubts), len(self.missing) + len(self.extra) + self.reworded, -self.template.good

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


_Graded = dict[tuple[str, str, tuple[int, int]], tuple[Grade, list[str], list[str]]]


class Unifier:
    """Finds every match of a goal among the templates of one scope."""

    def __init__(self, shapes: Shapes, values: Values) -> None:
        self.shapes = shapes
        self.values = values

    def matches(self, goal: Goal) -> list[Match]:
        """All matches, the barred ones included; raises ``TooMuchWork``."""
        plausible = self._plausible(goal.keys)
        graded: _Graded = {}
        found: list[Match] = []
        for reading in readings(goal.keys):
            for fit in self.shapes.fits(goal, reading.start, reading.end, plausible):
                if len(found) + len(fit.templates) > MOST_MATCHES:
                    raise TooMuchWork
                found += [self._match(goal, reading, fit, template, graded) for template in fit.templates]
        return found

    def _plausible(self, keys: tuple[str, ...]) -> Callable[[int, int], bool]:
        remembered: dict[tuple[int, int], bool] = {}

        def plausible(first: int, after: int) -> bool:
            span = (first, after)
            if span not in remembered:
                remembered[span] = self.values.plausible(keys[first:after])
            return remembered[span]

        return plausible

    def _match(self, goal: Goal, reading: Reading, fit: Fit, template: Template, graded: "_Graded") -> Match:
        found = []
        for name, span in zip(template.slots, fit.spans, strict=True):
            asked = (template.intent, name, span)
            if asked not in graded:
                graded[asked] = self._grade(template.intent, name, goal.keys[span[0] : span[1]])
            found.append(graded[asked])
        grades = tuple(grade for grade, _, _ in found)
        barred = [reason for _, bars, _ in found for reason in bars]
        doubts = [reason for _, _, doubting in found for reason in doubting]
        if any(
            left[1] == right[0] and grades[number : number + 2] == (Grade.UNSEEN, Grade.UNSEEN)
            for number, (left, right) in enumerate(zip(fit.spans, fit.spans[1:], strict=False))
        ):
            doubts.append("an unseen value beside another")
        inside = {index for first, after in fit.spans for index in range(first, after)}
        fillers = fillers_outside(goal, reading, inside)
        missing, extra = template.fillers - fillers, fillers - template.fillers
        if missing or extra:
            doubts.append("other fillers")
        words = wording(goal, reading, inside)
        if words != template.words:
            doubts.append("other forms of words")
        said = articles(goal, reading, inside)
        definite = ("the" in said) - ("the" in template.articles)
        if len(said) == len(template.articles) == 1 and said != template.articles:
            barred.append("one that was spoken of, or any one")
        barred += self._misread(goal, reading, template)
        return Match(
            template,
            reading,
            fit.spans,
            grades,
            missing,
            extra,
            len(words ^ template.words),
            definite,
            tuple(barred),
            tuple(doubts),
        )

    def _misread(self, goal: Goal, reading: Reading, template: Template) -> list[str]:
        barred = [
            f"“{phrase}” is an argument" for phrase in reading.dropped if self._is_argument(template.intent, phrase)
        ]
        if goal.asks and not template.asks:
            barred.append("a question, not an order")
        if template.bad:
            barred.append("served wrongly before")
        if wonders(goal.keys[reading.start : reading.end]) and not template.wonders:
            barred.append("a question, not an order")
        return barred

    def _is_argument(self, intent: str, phrase: str) -> bool:
        words = phrase.split()
        if phrase == "now" and any(
            slot[0] == intent and TIMES.intersection(facts.kinds) for slot, facts in self.values.slots.items()
        ):
            return True
        tails = (" ".join(words[at:]) for at in range(len(words)))
        return any(owner[0] == intent for tail in tails for owner in self.values.owners.get(tail, ()))

    def _grade(self, intent: str, name: str, keys: tuple[str, ...]) -> tuple[Grade, list[str], list[str]]:
        key, facts = value_key(keys), self.values.slots[intent, name]
        if key in facts.values:
            return Grade.KNOWN, [], []
        kind = span_kind(keys)
        barred: list[str] = []
        doubts: list[str] = []
        if any(owner[0] == intent for owner in self.values.owners.get(key, ())):
            doubts.append(f"“{key}” belongs to another argument")
        if kind not in facts.kinds:
            doubts.append(f"{name} has never been of the kind {kind}")
        if kind != OPEN:
            return Grade.TYPED, barred, doubts
        if len(keys) > max(facts.longest, 2):
            doubts.append("longer than any value before")
        if FORBIDDEN.intersection(keys):
            barred.append("a forbidden word in an unseen value")
        if keys[-1] in NEVER_LAST:
            barred.append(f"“{keys[-1]}” at the end of an unseen value")
        if any(token_kind(word) in "cdmony$¤" for word in keys):
            doubts.append("a time or a number inside an unseen value")
        return Grade.UNSEEN, barred, doubts


_REQUESTS = frozenset({"you"})


def wonders(keys: tuple[str, ...]) -> bool:
    """Whether somebody asks something; "can you ..." asks for something."""
    if not keys or keys[0] in QUESTION_WORDS:
        return bool(keys)
    return keys[0] in AUXILIARIES and not (len(keys) > 1 and keys[1] in _REQUESTS)
