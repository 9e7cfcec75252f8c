"""The examples that come with the tools: each goal finds its own plan, and each plan fits the tools' contracts."""

import re
from pathlib import Path

import pytest

from apex.planning.library import PlanLibrary, load_library
from apex.tools.registry import Registry, discover
from apex.workflow.validation import validate_plan
from apex.workflow.waves import waves
from tests.unit.planning.samples import found, request

TOOLS = Path(__file__).parents[3] / "functions" / "tools"
FILLED = {
    "place": "New York",
    "person": "Ana Lima",
    "date": "on Friday",
    "amount": "$1,250.50",
    "email": "ana@example.com",
    "number": "three",
    "text": '"milk"',
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover(TOOLS)


@pytest.fixture(scope="module")
def library(registry: Registry) -> PlanLibrary:
    return load_library(TOOLS, registry)


def goals(library: PlanLibrary) -> list[tuple[str, str]]:
    """Every wording of every example with its slots filled in: (goal, example id)."""
    return [
        (re.sub(r"\{\w+:(\w+)\}", lambda slot: FILLED[slot[1]], wording), example.id)
        for example in library.examples
        for wording in (example.goal, *example.also)
    ]


def test_every_wording_finds_its_own_plan_and_the_plan_may_run(library: PlanLibrary, registry: Registry) -> None:
    for goal, example_id in goals(library):
        proposal = library.find(request(goal))
        assert proposal is not None, goal
        assert proposal.planned_by.template_id == example_id
        validate_plan(proposal.plan, registry.contracts)
        assert "$slot" not in proposal.plan.model_dump_json()


def test_every_tool_is_used_by_an_example(library: PlanLibrary, registry: Registry) -> None:
    assert {step.tool for example in library.examples for step in example.steps} == set(registry.contracts)


@pytest.mark.parametrize("word", ["not", "except", "twice", "Berlin"])
def test_an_unexplained_word_anywhere_is_a_miss(library: PlanLibrary, word: str) -> None:
    for goal in {example_id: goal for goal, example_id in goals(library)}.values():
        words = goal.split()
        for place in range(len(words) + 1):
            changed = " ".join([*words[:place], word, *words[place:]])
            beside_a_name = word == "Berlin" and {"New", "York", "Ana", "Lima"} & {
                *words[max(0, place - 1) : place + 1]
            }
            assert beside_a_name or found(library, changed) is None, changed


@pytest.mark.parametrize(
    "question",
    ["Did you {}?", "How do I {}?", "Do not {}", "Don't {}", "What if I {}", "{} yesterday", "{}?"],
)
def test_a_question_a_ban_or_an_afterthought_is_no_order(library: PlanLibrary, question: str) -> None:
    for goal, _ in goals(library):
        assert found(library, question.format(goal)) is None, question.format(goal)


TRIP = "Book a flight to Paris tomorrow, reserve a hotel near the Eiffel Tower and charge $900 to my card"


def test_the_trip_takes_its_values_from_the_goal(library: PlanLibrary) -> None:
    plan = found(library, TRIP)
    assert plan is not None
    assert [step.tool for step in plan.steps] == [
        "search_flights",
        "search_database",
        "book_flight",
        "reserve_hotel",
        "charge_payment",
        "send_confirmation",
    ]
    assert plan.step("s1").input == {"destination": "Paris", "date": "2027-06-05"}
    assert plan.step("s4").input == {
        "near": "the Eiffel Tower",
        "city": "Paris",
        "check_in": "{{s3.arrival_date}}",
        "guest": "{{s2.name}}",
    }
    assert (plan.step("s5").input["amount"], plan.step("s5").input["currency"]) == ("900", "USD")


def test_the_trip_searches_at_once_and_pays_when_everything_is_booked(library: PlanLibrary) -> None:
    plan = found(library, TRIP)
    assert plan is not None
    assert [[step.id for step in wave] for wave in waves(plan.steps)] == [
        ["s1", "s2"],
        ["s3"],
        ["s4"],
        ["s5"],
        ["s6"],
    ]


def test_a_trip_without_an_amount_charges_what_was_booked(library: PlanLibrary) -> None:
    plan = found(
        library,
        "Book a flight to Paris tomorrow, reserve a hotel near the Eiffel Tower and charge the card on file",
    )
    assert plan is not None
    charges = [step.input["amount"] for step in plan.steps if step.tool == "charge_payment"]
    assert charges == ["{{s1.price}}", "{{s4.total}}"]


def test_the_same_trip_with_other_values_is_the_same_plan_with_other_values(library: PlanLibrary) -> None:
    goal = TRIP.replace("Paris", "London").replace("the Eiffel Tower", "Hyde Park").replace("$900", "1,200 dollars")
    paris, london = found(library, TRIP), found(library, goal)
    assert paris is not None
    assert london is not None
    text = paris.model_dump_json().replace("Paris", "London").replace("the Eiffel Tower", "Hyde Park")
    assert london.model_dump_json() == text.replace('"900"', '"1200"').replace("$900", "1,200 dollars")
