"""Plans as data: names that are safe everywhere, and documents that nobody changes."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from apex.schema.plan import Plan, PlannedBy, Step


def test_a_step_needs_only_a_name_and_a_tool() -> None:
    step = Step(id="s1", tool="search_flights")
    assert step.to_wire() == {"id": "s1", "tool": "search_flights", "input": {}, "depends_on": []}


@pytest.mark.parametrize("name", ["s1", "S", "book-flight_2", "a" * 64])
def test_names_that_are_plain_are_accepted(name: str) -> None:
    assert Step(id=name, tool=name, depends_on=(name,)).id == name


@pytest.mark.parametrize(
    "name", ["", " ", "1s", "_s", "-s", "s 1", "s.1", "s#1", "s/1", "s[0]", "{{s}}", "é", "s\n", "a" * 65, None, 1]
)
def test_names_that_could_mean_something_else_are_refused(name: Any) -> None:
    for document in (
        {"id": name, "tool": "t"},
        {"id": "s", "tool": name},
        {"id": "s", "tool": "t", "depends_on": [name]},
    ):
        with pytest.raises(ValidationError):
            Step.model_validate(document)


@pytest.mark.parametrize(
    "spoil", [{"inputs": {}}, {"input": []}, {"input": None}, {"input": {"n": float("nan")}}, {"depends_on": "s1"}]
)
def test_a_step_that_does_not_fit_is_refused(spoil: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Step.model_validate({"id": "s", "tool": "t", **spoil})


def test_a_plan_comes_back_from_json_as_it_was() -> None:
    document = {
        "steps": [
            {"id": "s1", "tool": "t", "input": {"camelCase": {"snake_case": [1, 1.0, None]}}, "depends_on": []},
            {"id": "s2", "tool": "t", "input": {}, "depends_on": ["s1"], "compensation": "undo_t"},
        ]
    }
    plan = Plan.model_validate(document)
    assert plan.to_wire() == document
    assert Plan.model_validate_json(json.dumps(document)) == plan


def test_a_step_is_found_by_its_id() -> None:
    plan = Plan(steps=(Step(id="a", tool="t"), Step(id="b", tool="u")))
    assert plan.step("b").tool == "u"
    with pytest.raises(KeyError):
        plan.step("c")


def test_a_plan_cannot_be_changed() -> None:
    given: dict[str, Any] = {"list": [1]}
    step = Step(id="a", tool="t", input=given)
    given["list"].append(2)
    assert step.input == {"list": [1]}
    with pytest.raises(TypeError):
        step.input["list"].append(2)
    with pytest.raises(ValidationError):
        step.tool = "other"  # type: ignore[misc]


def test_where_a_plan_came_from() -> None:
    assert PlannedBy(planner="library").to_wire() == {"planner": "library", "cache_hit": False}
