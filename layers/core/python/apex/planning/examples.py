"""Worked examples: a goal in some wordings, and the plan that carries it out.

A tool declares them in ``functions/tools/<tool>/examples.json``, a list of::

    {"id": "search-flights",
     "goal": "Find a flight to {destination:place} {day:date}",
     "also": ["Search for flights to {destination:place} {day:date}"],
     "steps": [{"id": "s1", "tool": "search_flights",
                "input": {"destination": {"$slot": "destination"}, "date": {"$slot": "day"}}}]}

Every wording has the same slots, and every slot is used: a word that somebody said is never dropped.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from apex.errors import SchemaInvalid
from apex.planning import bindings
from apex.planning.entities import Entity
from apex.planning.templates import Template, parse_template
from apex.schema.plan import Plan, Step
from apex.schema.wire import RecordModel, problems_of

Wording = Annotated[str, StringConstraints(min_length=3, max_length=500)]


class WorkedExample(RecordModel):
    """An example as it is declared; ``also`` holds further wordings of ``goal``."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    goal: Wording
    also: tuple[Wording, ...] = ()
    steps: tuple[Step, ...] = Field(min_length=1)
    """The plan; the inputs may hold bindings as described in ``apex.planning.bindings``."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """An example whose wordings have been read and whose bindings have been checked."""

    example: WorkedExample
    templates: tuple[Template, ...]

    def plan(self, entities: Mapping[str, Entity]) -> Plan:
        """The plan with the entities of a goal in place."""
        return Plan(
            steps=tuple(
                Step(
                    id=step.id,
                    tool=step.tool,
                    input=bindings.fill(step.input, entities),
                    depends_on=step.depends_on,
                    compensation=step.compensation,
                )
                for step in self.example.steps
            )
        )


def read_pattern(example: WorkedExample, problems: list[str]) -> Pattern:
    """Read the wordings and check the bindings; whatever is wrong is added to ``problems``, naming the example."""
    found: list[str] = []
    templates = tuple(parse_template(wording, found) for wording in (example.goal, *example.also))
    slots = templates[0].slots
    found += [
        f"“{template.text}” has other slots than “{example.goal}”"
        for template in templates[1:]
        if template.slots != slots
    ]
    used = frozenset[str]().union(
        *(bindings.check(step.input, slots, f"{step.id}.input", found) for step in example.steps)
    )
    found += [f"the slot {name} is not used by any step" for name in slots if name not in used]
    problems += [f"{example.id}: {problem}" for problem in dict.fromkeys(found)]
    return Pattern(example, templates)


def read_examples(path: Path, problems: list[str]) -> list[WorkedExample]:
    """The examples of one file; whatever is wrong with it is added to ``problems``, naming the file's folder."""
    where = f"{path.parent.name}/{path.name}"
    try:
        declared = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        problems.append(f"{where}: {error}")
        return []
    if not isinstance(declared, list):
        problems.append(f"{where}: the file must hold a list of examples")
        return []
    examples: list[WorkedExample] = []
    for index, item in enumerate(declared):
        try:
            examples.append(WorkedExample.model_validate(item))
        except ValidationError as error:
            problems += [f"{where}[{index}] {problem}" for problem in problems_of(error)]
    return examples


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"the same key is there twice: {', '.join(twice)}")
    return dict(pairs)


def unusable(problems: list[str]) -> SchemaInvalid:
    """The error that lists what is wrong with worked examples."""
    return SchemaInvalid("the worked examples cannot be used", problems)
