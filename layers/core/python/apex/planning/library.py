"""The plan library: finds the worked example that a goal is an exact instance of.

Never the wrong plan: where a goal can be aligned in two ways, or fits two examples that would do different things, it
finds nothing.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from apex.errors import SchemaInvalid
from apex.planning.examples import Pattern, WorkedExample, read_examples, read_pattern, unusable
from apex.planning.goals import Goal
from apex.ports.planning import PlanProposal, PlanRequest
from apex.schema.contract import Contract
from apex.schema.plan import Plan, PlannedBy

PLANNER = "library"


class HasContracts(Protocol):
    """What the library needs of a tool registry."""

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The contracts by tool name."""
        ...


class PlanLibrary:
    """A ``PlanIndex`` over worked examples.

    Raises ``SchemaInvalid``, listing every problem, where they cannot be used.
    """

    def __init__(self, examples: Iterable[WorkedExample]) -> None:
        problems: list[str] = []
        ordered = sorted(examples, key=lambda example: example.id)
        self.patterns: tuple[Pattern, ...] = tuple(read_pattern(example, problems) for example in ordered)
        problems += _clashes(self.patterns)
        if problems:
            raise unusable(problems)

    @property
    def examples(self) -> tuple[WorkedExample, ...]:
        """The worked examples, sorted by id."""
        return tuple(pattern.example for pattern in self.patterns)

    def find(self, request: PlanRequest) -> PlanProposal | None:
        """The plan of the example that the goal fits exactly at ``request.now``; None is a miss."""
        goal = Goal.read(request.goal, request.now)
        fits: list[tuple[str, Plan]] = []
        for pattern in self.patterns:
            for template in pattern.templates:
                found = template.alignments(goal)
                if len(found) > 1 or any(not alignment.certain for alignment in found):
                    return None
                fits += [(pattern.example.id, pattern.plan(alignment.entities)) for alignment in found]
        if not fits or any(plan != fits[0][1] for _, plan in fits):
            return None
        template_id, plan = fits[0]
        return PlanProposal(plan, PlannedBy(planner=PLANNER, cache_hit=True, template_id=template_id))


def load_library(tools_folder: Path, registry: HasContracts) -> PlanLibrary:
    """Read ``<tools_folder>/<tool>/examples.json`` of every tool that has one.

    Raises ``SchemaInvalid`` with all problems of all files: unreadable JSON, unknown fields, slots left unbound,
    tools that are not installed, ids used twice. Whether the plans fit the tools' schemas is checked when a plan is
    found, as for every plan.
    """
    problems: list[str] = []
    examples: list[WorkedExample] = []
    for path in sorted(tools_folder.glob("*/examples.json")):
        examples += read_examples(path, problems)
    installed = registry.contracts
    problems += [
        f"{example.id}: {step.id} uses the tool {step.tool!r}, which is not installed"
        for example in examples
        for step in example.steps
        if step.tool not in installed
    ]
    try:
        library = PlanLibrary(examples)
    except SchemaInvalid as error:
        raise unusable(problems + error.problems) from error
    if problems:
        raise unusable(problems)
    return library


def _clashes(patterns: tuple[Pattern, ...]) -> list[str]:
    """Ids used twice, and wordings that two examples share: such goals could never be found."""
    ids = [pattern.example.id for pattern in patterns]
    problems = [f"the id {name} is used twice" for name in dict.fromkeys(ids) if ids.count(name) > 1]
    owners: dict[tuple[str, ...], str] = {}
    for pattern in patterns:
        for template in pattern.templates:
            owner = owners.setdefault(template.shape, pattern.example.id)
            if owner != pattern.example.id:
                problems.append(f"{pattern.example.id}: “{template.text}” is a goal of {owner} too")
    return problems
