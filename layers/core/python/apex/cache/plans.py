"""The cache of one scope: what to do with a goal, and what to learn from a plan that went well.

Tier 0 is the same goal again. Tier 1 is an exact instance of a template. Tier 2 is an instance but for fillers and
word forms, or with values that raise a doubt. Above tier 0 the verifier must reach the threshold of the plan's risk,
and no guard is outvoted by it.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from apex.cache.evidence import Evidence
from apex.cache.features import Featurizer
from apex.cache.shapes import Shapes, TooMuchWork
from apex.cache.templates import Placed, Plan, Template, induce, locate
from apex.cache.text import Goal
from apex.cache.trees import Model, load
from apex.cache.unify import Match, Unifier, wonders
from apex.cache.values import Values


class Risk(StrEnum):
    """What the worst step of a plan does outside."""

    READ = "read"
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


THRESHOLDS = {Risk.READ: 0.99, Risk.REVERSIBLE: 0.995, Risk.IRREVERSIBLE: 0.999}
"""The chance of being right that the verifier must see before a plan is served."""
LIKENESS = 0.993
"""The least for tier 2: other fillers and word forms may hide another intent."""
STRICT = 0.997
"""The same for exact instances of a template, when nothing else is served."""
MOST_RIVALS = 5
"""Outcomes that are weighed; those farthest from their templates are left out."""
RIVAL = 0.5
"""Where a second outcome is at least this likely, the goal is ambiguous."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan for the goal, or None; ``reason`` says which tier served it, or why none did."""

    plan: Plan | None
    reason: str
    tier: int | None = None
    template: int | None = None
    probability: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a goal could mean: one match for each outcome, with its row for the verifier."""

    matches: list[Match] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    barred: tuple[str, ...] = ()


class PlanCache:
    """The templates of one scope: one tenant, one tool registry, one planner.

    ``strict`` serves tiers 0 and 1 alone. Without a ``model`` (the shipped one by default) nothing above tier 0 is
    served.
    """

    def __init__(self, model: Model | None = None, *, strict: bool = False) -> None:
        self.strict = strict
        self._model = model or load()
        self._shapes, self._values, self._evidence = Shapes(), Values(), Evidence()
        self._unifier = Unifier(self._shapes, self._values)
        self._featurizer = Featurizer(self._values, self._evidence)
        self._exact: dict[tuple[tuple[str, ...], bool], tuple[int, Plan] | None] = {}
        self._templates: dict[int, Template] = {}
        self._admitted = 0

    def __len__(self) -> int:
        return len(self._templates)

    def look_up(self, text: str, risk: Risk = Risk.READ) -> Answer:
        """The plan for a goal, or why there is none; never raises for what a person can write."""
        goal = Goal.read(text)
        if not goal.keys:
            return Answer(None, "no words")
        exact = self._exact.get((goal.keys, goal.asks))
        if exact is not None:
            return Answer(exact[1], "the same goal", 0, exact[0], 1.0)
        try:
            found = self.candidates(goal)
        except TooMuchWork:
            return Answer(None, "too many ways to read it")
        if not found.matches:
            return Answer(None, found.barred[0] if found.barred else "no template fits")
        return self._decide(goal, found, risk)

    def candidates(self, goal: Goal) -> Candidates:
        """Every outcome that no guard bars; raises ``TooMuchWork``."""
        matches = self._unifier.matches(goal)
        free = [match for match in matches if not match.barred]
        best: dict[tuple[object, ...], Match] = {}
        for match in free:
            outcome = match.outcome(goal)
            if outcome not in best or match.distance < best[outcome].distance:
                best[outcome] = match
        found = sorted(best.values(), key=lambda match: (match.distance, match.template.id))[:MOST_RIVALS]
        barred = tuple(reason for match in matches for reason in match.barred)
        return Candidates(found, self._featurizer.rows(goal, found, len(free)), barred)

    def admit(self, text: str, plan: Plan) -> int:
        """Learn from a plan that ran to its end.

        Its arguments must all stand in the goal, each in one place only; otherwise the plan serves the same goal
        alone. A goal that was planned in two ways is never served by itself again. Answers the number that hits refer
        to (a wording that is known already keeps its own).
        """
        goal = Goal.read(text)
        self._admitted += 1
        if not goal.keys:
            return self._admitted
        key = (goal.keys, goal.asks)
        before = self._exact.setdefault(key, (self._admitted, plan))
        if before is not None and before[1] != plan:
            self._exact[key] = None
        placed = locate(goal, plan.arguments)
        if placed is None:
            return self._admitted
        self._learn(goal, plan, placed)
        template = induce(self._admitted, goal, plan.intent, placed, wonders=wonders(goal.keys))
        if template is not None:
            self._keep(template)
        return self._admitted

    def disable(self, template: int) -> None:
        """Never serve a template again: an audit found it wrong."""
        if template in self._templates:
            self._templates[template].bad += 1
        self._exact = {key: kept and (None if kept[0] == template else kept) for key, kept in self._exact.items()}

    def _decide(self, goal: Goal, found: Candidates, risk: Risk) -> Answer:
        scored = sorted(
            ((self._model.probability(row), -number) for number, row in enumerate(found.rows)), reverse=True
        )
        chance, best = scored[0][0], found.matches[-scored[0][1]]
        exact = not best.doubts
        if self.strict and not exact:
            return Answer(None, best.doubts[0], None, best.template.id, chance)
        if chance < max(THRESHOLDS[risk], STRICT if self.strict else 0.0 if exact else LIKENESS):
            return Answer(None, "not sure enough", None, best.template.id, chance)
        if len(scored) > 1 and scored[1][0] >= RIVAL:
            return Answer(None, "ambiguous", None, best.template.id, chance)
        plan = Plan(best.template.intent, best.arguments(goal))
        reason = "an instance of a template" if exact else "verified likeness"
        return Answer(plan, reason, 1 if exact else 2, best.template.id, chance)

    def _keep(self, template: Template) -> None:
        leaf = self._shapes.leaf(template.shape)
        for kept in leaf.templates:
            if kept.same(template):
                kept.good += 1
                return
        leaf.templates.append(template)
        self._templates[template.id] = template

    def _learn(self, goal: Goal, plan: Plan, placed: tuple[Placed, ...]) -> None:
        roles = [""] * len(goal.keys)
        for item in placed:
            keys = goal.keys[item.first : item.after]
            self._values.learn((plan.intent, item.name), keys)
            roles[item.first : item.after] = [item.name] * len(keys)
        self._evidence.learn(plan.intent, goal.keys, roles)
