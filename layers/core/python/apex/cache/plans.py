"""The cache itself: what to do with a goal, and what to learn from a plan that went well."""

from dataclasses import dataclass

from apex.cache.shapes import Shapes, TooMuchWork
from apex.cache.templates import Plan, Template, induce, locate, value_key
from apex.cache.text import Goal, readings
from apex.cache.unify import Match, Unifier
from apex.cache.values import Values


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan for the goal, or None with the reason; ``tier`` 0 exact, 1 unification, 2 verified likeness."""

    plan: Plan | None
    tier: int | None
    template: int | None
    reason: str


class PlanCache:
    """The templates of one scope (one tenant, one tool registry, one planner)."""

    def __init__(self) -> None:
        self.shapes, self.values = Shapes(), Values()
        self.unifier = Unifier(self.shapes, self.values)
        self._exact: dict[tuple[str, ...], tuple[int, Plan] | None] = {}
        self._next = 0

    def look_up(self, text: str) -> Answer:
        goal = Goal.read(text)
        if not goal.keys:
            return Answer(None, None, None, "empty")
        exact = self._exact.get((*goal.keys, str(goal.asks)))
        if exact is not None:
            return Answer(exact[1], 0, exact[0], "exact")
        try:
            matches = self.unifier.matches(goal)
        except TooMuchWork:
            return Answer(None, None, None, "too many readings")
        self.last = (goal, matches)
        served = [match for match in matches if not match.refusals]
        if not served:
            return Answer(None, None, None, matches[0].refusals[0] if matches else "no template")
        if len({match.outcome(goal) for match in served}) > 1:
            return Answer(None, None, None, "ambiguous")
        best = served[0]
        return Answer(Plan(best.template.intent, best.arguments(goal)), 1, best.template.id, "unified")

    def admit(self, text: str, plan: Plan) -> None:
        goal = Goal.read(text)
        if not goal.keys:
            return
        self._next += 1
        key = (*goal.keys, str(goal.asks))
        placed = locate(goal, plan.arguments)
        before = self._exact.get(key)
        if key not in self._exact:
            self._exact[key] = (self._next, plan)
        elif before is not None and before[1] != plan:
            self._exact[key] = None
        if placed is None:
            return
        for item in placed:
            self.values.learn((plan.intent, item.name), goal.keys[item.first : item.after])
        shape = induce(goal, placed)
        if shape is None:
            return
        leaf = self.shapes.leaf(shape)
        slots = tuple(item.name for item in placed)
        for template in leaf.templates:
            if template.intent == plan.intent and template.slots == slots:
                template.good += 1
                return
        leaf.templates.append(Template(self._next, plan.intent, shape, slots, goal.asks))
