"""A match as a row of numbers for the verifier."""

from itertools import pairwise
from math import log

from apex.cache.evidence import LITERAL, NOTHING, Evidence
from apex.cache.kinds import token_kind
from apex.cache.templates import Template, span_kind, value_key
from apex.cache.text import Goal
from apex.cache.unify import Grade, Match
from apex.cache.values import Values
from apex.cache.words import FUNCTION_WORDS

NAMES = (
    "tokens", "literals", "content", "slots", "known", "typed", "unseen", "unseen_longest", "unseen_over",
    "unseen_words", "missing", "extra", "doubts", "dropped", "start", "support",
    "kinds", "owners", "role_min", "role_wording",
    "wording_anywhere", "literal_valued", "before", "after", "touching", "at_end", "leads", "margin", "top", "intents",
    "good", "goals", "size", "outcomes", "matches", "leaf_intents", "capitals", "cased", "literal_new", "filler_role",
    "before_seen", "after_seen", "known_times", "rare_literal", "value_elsewhere", "span_share", "slot_goals",
    "open_rate", "breaks", "commas", "novel", "overlap", "head_known", "edge_first", "edge_last", "more_known",
    "more_literal", "fewer_doubts", "same_intent", "rival_margin", "numbers", "typed_share", "first_caps", "left_caps",
    "reworded", "wonders", "asks", "openings", "definite",
)  # fmt: skip


class Featurizer:
    """Turns matches into rows; one goal's intents are weighed once."""

    def __init__(self, values: Values, evidence: Evidence) -> None:
        self.values = values
        self.evidence = evidence

    def rows(self, goal: Goal, matches: list[Match], total: int) -> list[list[float]]:
        """One row, in the order of ``NAMES``, for each of the ``matches`` kept out of ``total``."""
        if not matches:
            return []
        likely = self.evidence.likelihoods(goal.keys)
        ranked = sorted(likely.values(), reverse=True)
        intents = len({match.template.intent for match in matches})
        return [
            [
                *self._row(goal, match, likely, ranked),
                float(len(matches)),
                float(total),
                float(intents),
                *self._case(goal, match),
                *self._more(goal, match),
                *self._values(goal, match),
                *self._rivals(match, matches, likely),
                *self._forms(goal, match),
            ]
            for match in matches
        ]

    def _values(self, goal: Goal, match: Match) -> list[float]:
        rate, breaks, commas, novel, overlap, head, first_w, last_w = 1.0, 0.0, 0.0, 0.0, 1.0, 9.0, 0.0, 0.0
        intent = match.template.intent
        for name, (first, after), grade in zip(match.template.slots, match.spans, match.grades, strict=True):
            facts = self.values.slots[intent, name]
            if grade is Grade.KNOWN:
                continue
            rate = min(rate, len(facts.values) / sum(facts.values.values()))
            text = goal.value(first, after)
            breaks += sum(text.count(mark + " ") for mark in ".?!;:")
            commas += text.count(",")
            words = goal.keys[first:after]
            novel = max(novel, float(sum(word not in self.evidence.anywhere for word in words)) / len(words))
            seen = sum(name in self.evidence.roles.get((intent, word), NOTHING) for word in words)
            overlap = min(overlap, seen / len(words))
            head = min(head, float(self.evidence.roles.get((intent, words[-1]), NOTHING).get(name, 0)))
            first_w = max(first_w, self._wording(words[0]))
            last_w = max(last_w, self._wording(words[-1]))
        return [rate, breaks, commas, novel, overlap, head, first_w, last_w]

    def _wording(self, word: str) -> float:
        counts = self.evidence.anywhere.get(word, NOTHING)
        return counts.get(True, 0) / (sum(counts.values()) + 0.5)

    def _rivals(self, match: Match, matches: list[Match], likely: dict[str, float]) -> list[float]:
        others = [other for other in matches if other is not match]
        known, literals = match.grades.count(Grade.KNOWN), _literals(match)
        margin = likely.get(match.template.intent, -50.0) - max(
            (likely.get(other.template.intent, -50.0) for other in others), default=-50.0
        )
        return [
            max((other.grades.count(Grade.KNOWN) - known for other in others), default=-9.0) + 0.0,
            max((_literals(other) - literals for other in others), default=-9) + 0.0,
            max((len(match.doubts) - len(other.doubts) for other in others), default=-9) + 0.0,
            float(sum(other.template.intent == match.template.intent for other in others)),
            margin,
        ]

    def _forms(self, goal: Goal, match: Match) -> list[float]:
        unseen = [span for span, grade in zip(match.spans, match.grades, strict=True) if grade is Grade.UNSEEN]
        numbers = sum(token_kind(word) in "ny$o" for first, after in unseen for word in goal.keys[first:after])
        typed = [
            self._kind_share(goal, match.template, number, match)
            for number, grade in enumerate(match.grades)
            if grade is Grade.TYPED
        ]
        upper = [goal.text[token.start].isupper() for token in goal.tokens]
        first_caps = min((float(upper[first]) for first, _ in unseen), default=-1.0)
        inside = {index for first, after in match.spans for index in range(first, after)}
        left = sum(
            up
            for index, up in enumerate(upper)
            if index not in inside and index > match.reading.start and goal.keys[index] != "i"
        )
        return [
            float(numbers),
            min(typed, default=-1.0),
            first_caps,
            float(left),
            *[
                float(match.reworded),
                float(match.template.wonders),
                float(goal.asks),
                float(_asking(match)),
                float(match.definite),
            ],
        ]

    def _row(self, goal: Goal, match: Match, likely: dict[str, float], ranked: list[float]) -> list[float]:
        template = match.template
        literals = [key for key in template.shape if key != "\0"]
        content = [key for key in literals if key not in FUNCTION_WORDS]
        unseen = [span for span, grade in zip(match.spans, match.grades, strict=True) if grade is Grade.UNSEEN]
        lengths = [after - first for first, after in unseen]
        over = [
            after - first - self.values.slots[template.intent, name].longest
            for name, (first, after), grade in zip(template.slots, match.spans, match.grades, strict=True)
            if grade is Grade.UNSEEN
        ]
        own = likely.get(template.intent, -50.0)
        others = [score for intent, score in likely.items() if intent != template.intent]
        goals = sum(self.evidence.goals.values())
        facts = [self.values.slots[template.intent, name] for name in template.slots]
        return [
            float(len(goal.keys)), float(len(literals)), float(len(content)), float(len(match.spans)),
            float(match.grades.count(Grade.KNOWN)), float(match.grades.count(Grade.TYPED)), float(len(unseen)),
            float(max(lengths, default=0)), float(max(over, default=-9)), float(sum(lengths)),
            float(len(match.missing)), float(len(match.extra)), float(len(match.doubts)),
            float(len(match.reading.dropped)), float(match.reading.start),
            float(min((sum(item.values.values()) for item in facts), default=999)),
            min((self._kind_share(goal, template, number, match) for number in range(len(match.spans))), default=1.0),
            min((self._owner_share(goal, template, number, match) for number in range(len(match.spans))), default=1.0),
            *self._roles(goal, match),
            *self._contexts(goal, match),
            own - max(others, default=-50.0), own - ranked[0] if ranked else -50.0, float(len(ranked)),
            float(template.good), float(self.evidence.goals[template.intent]), log(1 + goals),
        ]  # fmt: skip

    def _kind_share(self, goal: Goal, template: Template, number: int, match: Match) -> float:
        first, after = match.spans[number]
        kinds = self.values.slots[template.intent, template.slots[number]].kinds
        return kinds.get(span_kind(goal.keys[first:after]), 0) / sum(kinds.values())

    def _owner_share(self, goal: Goal, template: Template, number: int, match: Match) -> float:
        first, after = match.spans[number]
        owners = self.values.owners.get(value_key(goal.keys[first:after]), {})
        within = sum(count for (intent, _), count in owners.items() if intent == template.intent)
        return owners.get((template.intent, template.slots[number]), 0) / within if within else -1.0

    def _roles(self, goal: Goal, match: Match) -> list[float]:
        """Whether the words of unseen values have been wording before, and the literals parts of values."""
        intent = match.template.intent
        least, wording, anywhere = 1.0, 0.0, 0.0
        inside: set[int] = set()
        for name, (first, after), grade in zip(match.template.slots, match.spans, match.grades, strict=True):
            inside.update(range(first, after))
            if grade is Grade.KNOWN:
                continue
            for key in goal.keys[first:after]:
                roles = self.evidence.roles.get((intent, key), NOTHING)
                seen = sum(roles.values())
                least = min(least, (roles.get(name, 0) + 0.5) / (seen + 1))
                wording = max(wording, (roles.get(LITERAL, 0)) / (seen + 1))
                counts = self.evidence.anywhere.get(key, NOTHING)
                anywhere = max(anywhere, counts.get(True, 0) / (sum(counts.values()) + 1))
        valued = 0.0
        for index in range(match.reading.start, match.reading.end):
            if index not in inside and not goal.fillers[index]:
                roles = self.evidence.roles.get((intent, goal.keys[index]), {})
                seen = sum(roles.values())
                valued = max(valued, (seen - roles.get(LITERAL, 0)) / (seen + 1))
        return [least, wording, anywhere, valued]

    def _contexts(self, goal: Goal, match: Match) -> list[float]:
        """How surely the words beside each slot tell its name."""
        intent, spans = match.template.intent, match.spans
        before = after_share = 1.0
        for number, name in enumerate(match.template.slots):
            first, after = spans[number]
            if match.grades[number] is Grade.KNOWN and len(spans) > 1:
                continue
            joined = number and spans[number - 1][1] == first
            left = goal.keys[first - 1] if first and not joined else ""
            before = min(before, _share(self.evidence.before.get((intent, left)), name))
            joins = number + 1 < len(spans) and spans[number + 1][0] == after
            right = goal.keys[after] if after < len(goal.keys) and not joins else ""
            after_share = min(after_share, _share(self.evidence.after.get((intent, right)), name))
        touching = sum(left[1] == right[0] for left, right in pairwise(spans))
        ends = bool(spans) and spans[-1][1] == match.reading.end
        leads = bool(spans) and spans[0][0] == match.reading.start
        return [before, after_share, float(touching), float(ends), float(leads)]

    def _case(self, goal: Goal, match: Match) -> list[float]:
        """The share of words in unseen values that are capitalised, and whether the goal uses capitals at all."""
        words = [
            goal.text[goal.tokens[index].start]
            for (first, after), grade in zip(match.spans, match.grades, strict=True)
            if grade is Grade.UNSEEN
            for index in range(first, after)
        ]
        cased = sum(goal.text[token.start].isupper() for token in goal.tokens[1:])
        return [sum(map(str.isupper, words)) / len(words) if words else -1.0, float(cased)]

    def _more(self, goal: Goal, match: Match) -> list[float]:
        intent = match.template.intent
        inside = {index for first, after in match.spans for index in range(first, after)}
        fill = 0.0
        new = 0
        rare = 99.0
        for index in range(match.reading.start, match.reading.end):
            if index in inside:
                continue
            key = goal.keys[index]
            roles = self.evidence.roles.get((intent, key), NOTHING)
            seen = sum(roles.values())
            if goal.fillers[index]:
                fill = max(fill, (seen - roles.get(LITERAL, 0)) / (seen + 1))
                new += not seen
            else:
                rare = min(rare, float(sum(self.evidence.words.get(key, NOTHING).values())))
        b = a = 99.0
        times = 99.0
        elsewhere = 0.0
        share = 0.0
        for name, (first, after) in zip(match.template.slots, match.spans, strict=True):
            left = goal.keys[first - 1] if first else ""
            b = min(b, float(self.evidence.before.get((intent, left), NOTHING).get(name, 0)))
            right = goal.keys[after] if after < len(goal.keys) else ""
            a = min(a, float(self.evidence.after.get((intent, right), NOTHING).get(name, 0)))
            key = value_key(goal.keys[first:after])
            times = min(times, float(self.values.slots[intent, name].values.get(key, 0)))
            owners = self.values.owners.get(key, {})
            elsewhere = max(elsewhere, float(sum(owners.values()) - owners.get((intent, name), 0)))
            share = max(share, (after - first) / len(goal.keys))
        layout = float(self.evidence.layouts[intent, tuple(sorted(match.template.slots))])
        return [float(new), fill, b, a, times, rare, elsewhere, share, layout]


def _literals(match: Match) -> int:
    return len(match.template.shape) - len(match.spans)


def _asking(match: Match) -> int:
    """How far the fillers differ in the person who wishes: "I" here and "you" there."""
    return len((match.missing | match.extra) & {"i", "my", "me", "do", "can", "could", "would", "need", "want"})


def _share(counts: dict[str, int] | None, name: str) -> float:
    return counts.get(name, 0) / sum(counts.values()) if counts else 0.0
