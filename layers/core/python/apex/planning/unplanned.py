"""What happens to a goal that no worked example fits while no language model is configured."""

from typing import NoReturn

from apex.errors import GoalNotPlanned
from apex.planning.examples import Pattern
from apex.planning.goals import Goal
from apex.planning.library import PlanLibrary
from apex.planning.templates import Slot, Template
from apex.ports.planning import PlanRequest

MODEL_SETTING = "APEX_LLM_MODEL"


class NoPlanner:
    """A ``Planner`` that makes no plans, but says what would have been understood and what to configure."""

    def __init__(self, library: PlanLibrary, nearest: int = 3) -> None:
        self._library = library
        self._count = nearest

    def make(self, request: PlanRequest) -> NoReturn:
        """Raise ``GoalNotPlanned``, which says what was expected and what to configure (also in its ``details``).

        No word of the goal is repeated: it may hold what does not belong into logs.
        """
        goal = Goal.read(request.goal, request.now)
        nearest = [_best_template(pattern, goal) for pattern in self._nearest(goal)]
        shown = [template.shown for template in nearest]
        hint = _expectation(nearest[0], goal) if nearest else "There are no worked examples."
        listing = "".join(f"\n  - {text}" for text in shown)
        raise GoalNotPlanned(
            f"no worked example fits the goal, and no language model is configured to plan it. {hint}"
            + (f"\nThe nearest worked examples:{listing}" if shown else "")
            + f"\nFor any other goal set {MODEL_SETTING} to the language model that may plan it, or hand over a plan.",
            nearest=shown,
            expected=hint,
            configure=MODEL_SETTING,
        )

    def _nearest(self, goal: Goal) -> list[Pattern]:
        ranked = sorted(
            self._library.patterns,
            key=lambda pattern: (-_shared(_best_template(pattern, goal), goal), pattern.example.id),
        )
        return ranked[: self._count]


def _best_template(pattern: Pattern, goal: Goal) -> Template:
    return max(pattern.templates, key=lambda template: (_shared(template, goal), template.expected(goal)[0]))


def _shared(template: Template, goal: Goal) -> float:
    """Share of the words of both that both have, between 0 and 1."""
    wanted = {token.key for token in template.literals if token.key.isalnum()}
    given = {key for key in goal.keys if key.isalnum()}
    return len(wanted & given) / len(wanted | given)


def _expectation(template: Template, goal: Goal) -> str:
    if template.alignments(goal):
        return "It can be read in more than one way: put one thing in each place, and capital letters only in names."
    reached, expected = template.expected(goal)
    if reached == 0:
        return "Nothing like it is known."
    followed = [f"<{item.name}>" if isinstance(item, Slot) else item.text for item in template.elements[:reached]]
    return f"It could be followed as far as “{' '.join(followed).replace(' ,', ',')}”; expected there: {expected}."
