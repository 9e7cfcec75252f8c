"""A goal that cannot be planned fails with what was expected, what is known, and what to configure."""

import pytest

from apex.errors import GoalNotPlanned
from apex.planning.library import PlanLibrary
from apex.planning.unplanned import NoPlanner
from tests.unit.planning.samples import example, request

LIBRARY = PlanLibrary(
    [
        example("Book a flight to {to:place} {day:date}", "Fly me to {to:place} {day:date}", id="fly"),
        example("Reserve a hotel near {near:place}", id="stay"),
        example("Introduce {one:person} {other:person}", id="introduce"),
        example("Say {what:text}", id="say"),
    ]
)


def refusal(goal: str, library: PlanLibrary = LIBRARY) -> GoalNotPlanned:
    with pytest.raises(GoalNotPlanned) as caught:
        NoPlanner(library).make(request(goal))
    return caught.value


@pytest.mark.parametrize(
    ("goal", "hint"),
    [
        ("Book a flight to paris tomorrow", "“Book a flight to”; expected there: one place, its words capitalised"),
        ("Fly me to Paris soon", "“Fly me to <to>”; expected there: a date such as tomorrow"),
        ("Book a train to Paris", "“Book a”; expected there: “flight”"),
        ("Fly me to Paris tomorrow or never", "“Fly me to <to> <day>”; expected there: the end of the goal"),
        ("Make me happy", "Nothing like it is known"),
        ("Introduce Ana Maria Bob", "more than one way"),
    ],
)
def test_it_says_how_far_the_goal_was_understood(goal: str, hint: str) -> None:
    error = refusal(goal)
    assert hint in error.message
    assert error.details["expected"] in error.message


def test_it_names_the_nearest_examples_and_the_setting() -> None:
    error = refusal("Book a flight to Paris whenever you like")
    assert error.details["nearest"][0] == "Book a flight to <to> <day>"
    assert len(error.details["nearest"]) == 3
    assert all(text in error.message for text in error.details["nearest"])
    assert error.details["configure"] == "APEX_LLM_MODEL"
    assert "APEX_LLM_MODEL" in error.message


def test_it_repeats_nothing_from_the_goal() -> None:
    assert "4111111111111111" not in str(refusal("Book a flight with card 4111111111111111").to_dict())


def test_an_empty_library_says_so() -> None:
    error = refusal("Book a flight", PlanLibrary([]))
    assert "There are no worked examples" in error.message
    assert error.details["nearest"] == []
