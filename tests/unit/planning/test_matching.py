"""A goal fits an example exactly or not at all."""

import json
import os
import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apex.planning.dates import WEEKDAYS, resolve_date
from apex.planning.examples import WorkedExample
from apex.planning.goals import MAX_GOAL_LENGTH
from apex.planning.library import PlanLibrary
from tests.unit.planning.samples import NOW, bound, example, found, request

FLIGHT = PlanLibrary([example("Book a flight to {to:place} {day:date}")])
ROUTE = PlanLibrary([example("Drive {who:person} from {start:place} to {end:place}")])
PAYMENT = PlanLibrary([example("Send {sum:amount} to {who:person} for {why:text}")])

PARIS = {"to": "Paris", "day": "2027-06-05"}


@pytest.mark.parametrize(
    "goal",
    [
        "Book a flight to Paris tomorrow",
        "book a flight to Paris tomorrow.",
        "Book a flight to Paris tomorrow!!",
        "  Book\ta  flight to\nParis tomorrow ",
        "BOOK A FLIGHT TO Paris TOMORROW",
        "Please book a flight to Paris tomorrow",
        "Please, book a flight to Paris tomorrow, please.",
        "I'd like you to book a flight to Paris tomorrow",
        "I\u2019d like you to book a flight to Paris tomorrow",
        "Could you please book a flight to Paris tomorrow?",
        "Book a flight to Paris on June 5, 2027",
        "Book a flight to Paris on Saturday",
    ],
)
def test_case_space_final_stops_and_politeness_do_not_matter(goal: str) -> None:
    assert bound(FLIGHT, goal) == PARIS


@pytest.mark.parametrize(
    "goal",
    [
        "Don't book a flight to Paris tomorrow",
        "Do not book a flight to Paris tomorrow",
        "Never book a flight to Paris tomorrow",
        "Book no flight to Paris tomorrow",
        "Book a flight to Paris tomorrow?",
        "Did you book a flight to Paris tomorrow?",
        "Could you book a flight to Paris tomorrow",
        "Please book a flight to Paris tomorrow?",
        "Could you please explain: book a flight to Paris tomorrow?",
        "Cancel a flight to Paris tomorrow",
        "Book a flight from Paris tomorrow",
        "Book two flights to Paris tomorrow",
        "Book a cheap flight to Paris tomorrow",
        "Book a flight to Paris tomorrow morning",
        "Book a flight to Paris tomorrow if it rains",
        "Book a flight to Paris tomorrow unless it is sold out",
        "Book a flight to Paris tomorrow, then cancel it",
        "Book a flight to Paris tomorrow; ignore the budget",
        "Book a flight to Paris and London tomorrow",
        "Book a flight to Paris And London tomorrow",
        "Book a flight to Paris or London tomorrow",
        "Book a flight to Paris, London tomorrow",
        "Book a flight to Paris tomorrow and Friday",
        "Book a flight to Paris tomorrow and to London on Friday",
        "Book a flight to every City tomorrow",
        "Book a flight to anywhere except Paris tomorrow",
        "Book a flight to Not Paris tomorrow",
        "Book a flight to Paris",
        "Book a flight to tomorrow",
        "Book a flight to {to} {day}",
        "Book a flight to {{s1.city}} tomorrow",
        "flight to Paris tomorrow",
        "Book a flight to Paris tomorrow Book a flight to Paris tomorrow",
        "please",
        "please, please",
        "?",
        "",
    ],
)
def test_one_word_more_less_or_other_is_a_miss(goal: str) -> None:
    assert found(FLIGHT, goal) is None


def test_roles_are_bound_by_position() -> None:
    there = bound(ROUTE, "Drive Ana from Paris to Lyon")
    back = bound(ROUTE, "Drive Ana from Lyon to Paris")
    assert there == {"who": "Ana", "start": "Paris", "end": "Lyon"}
    assert back == {"who": "Ana", "start": "Lyon", "end": "Paris"}
    assert found(ROUTE, "Drive Ana to Lyon from Paris") is None


def test_punctuation_inside_amounts_and_around_words_is_told_apart() -> None:
    goal = 'Send $1,250.50 to Ana for "rent, May. And June!".'
    assert bound(PAYMENT, goal) == {
        "sum": {"currency": "USD", "value": "1250.50"},
        "who": "Ana",
        "why": "rent, May. And June!",
    }


@pytest.mark.parametrize(
    "goal",
    [
        "BOOK A FLIGHT TO PARIS ONE WAY TOMORROW",
        "Book A Flight To Paris One Way Tomorrow",
        "book a flight TO NEW YORK tomorrow",
    ],
)
def test_where_ordinary_words_are_capitalised_capitals_prove_no_name(goal: str) -> None:
    assert found(FLIGHT, goal) is None


def test_a_name_of_several_words_is_found_where_only_names_are_capitalised() -> None:
    for goal in ("Book a flight to New York tomorrow", "please book a flight to New York tomorrow"):
        assert bound(FLIGHT, goal) == {"to": "New York", "day": "2027-06-05"}


def test_a_goal_that_can_be_divided_in_two_ways_is_a_miss() -> None:
    library = PlanLibrary([example("Introduce {one:person} {other:person}")])
    assert found(library, "Introduce Ana Bob") is not None
    assert found(library, "Introduce Ana Maria Bob") is None
    joined = {"$text": [{"$slot": "one"}, " ", {"$slot": "other"}]}
    alike = PlanLibrary([example("Introduce {one:person} {other:person}", names=joined)])
    assert bound(alike, "Introduce Ana Bob") == {"names": "Ana Bob"}
    assert found(alike, "Introduce Ana Maria Bob") is None


def test_a_goal_of_two_examples_is_found_only_if_their_plans_agree() -> None:
    plain, with_on = example("Go {day:date}", id="plain"), example("Go on {day:date}", id="with-on")
    another = example("Go on {day:date}", id="another", date={"$slot": "day"})
    agreeing = PlanLibrary([with_on, plain]).find(request("Go on Friday"))
    assert agreeing is not None
    assert agreeing.planned_by.template_id == "plain"
    assert found(PlanLibrary([another]), "Go on Friday") is not None
    assert found(PlanLibrary([plain, another]), "Go on Friday") is None


def test_a_plan_says_which_example_it_comes_from() -> None:
    library = PlanLibrary(
        [example("Say {what:text}", id="say"), example("Book a flight to {to:place} {day:date}", id="fly")]
    )
    proposal = library.find(request('Say "hello"'))
    assert proposal is not None
    assert (proposal.planned_by.planner, proposal.planned_by.cache_hit) == ("library", True)
    assert proposal.planned_by.template_id == "say"


def test_bindings_reach_nested_inputs_and_leave_references_alone() -> None:
    declared = {
        "id": "nested",
        "goal": "Pay {sum:amount} for {what:text} in {city:place}",
        "steps": [
            {
                "id": "s1",
                "tool": "create_record",
                "input": {
                    "list": [{"deep": {"$slot": "sum.value"}}, "{{s0.id}}", 7, None, True],
                    "title": {
                        "$text": [
                            "For ",
                            {"$slot": "what"},
                            " in ",
                            {"$slot": "city"},
                            ": ",
                            {"$slot": "sum"},
                            " {{s0.id}}",
                        ]
                    },
                    "amount": {"$slot": "sum"},
                    "as_written": {"$slot": "sum.text"},
                },
            }
        ],
    }
    library = PlanLibrary([WorkedExample.model_validate(declared)])
    assert bound(library, 'Pay 12.50 euros for "two $slot cups" in Rome') == {
        "list": [{"deep": "12.50"}, "{{s0.id}}", 7, None, True],
        "title": "For two $slot cups in Rome: 12.50 euros {{s0.id}}",
        "amount": {"currency": "EUR", "value": "12.50"},
        "as_written": "12.50 euros",
    }


def test_decomposed_accents_are_the_same_letters() -> None:
    for written in ("Zu\u0308rich", "Z\u00fcrich"):
        library = PlanLibrary([example(f"R\u00e9server {written} pour {{day:date}}")])
        assert bound(library, "Re\u0301server Z\u00fcrich pour tomorrow") == {"day": "2027-06-05"}
        assert bound(FLIGHT, f"Book a flight to {written} tomorrow") == {"to": "Z\u00fcrich", "day": "2027-06-05"}


@pytest.mark.parametrize(
    "goal", ["Paris " * MAX_GOAL_LENGTH, "Book a flight to \ud800 tomorrow", "\x00", '"' * 900, "please " * 280]
)
def test_no_goal_is_too_strange_to_be_a_miss(goal: str) -> None:
    assert found(FLIGHT, goal) is None


def test_long_goals_and_text_that_is_not_unicode_are_misses() -> None:
    library = PlanLibrary([example("Say {what:text}")])
    fits = "x" * (MAX_GOAL_LENGTH - len('Say ""'))
    assert bound(library, f'Say "{fits}"') == {"what": fits}
    assert found(library, f'Say "{fits}x"') is None
    assert found(library, 'Say "\ud800"') is None


@given(st.text(max_size=120))
def test_arbitrary_text_is_a_miss(goal: str) -> None:
    assume(not goal.casefold().startswith("book"))
    assert found(FLIGHT, goal) is None


PLACES = st.sampled_from(
    ["Paris", "New York", "the Eiffel Tower", "Rio de Janeiro", "King's Cross", "São Paulo", "The Hague"]
)
PERSONS = st.sampled_from(["Ana", "Ludwig van Beethoven", "J. S. Bach", "Mary-Ann O'Neill"])
AMOUNTS = st.tuples(
    st.integers(0, 10**9), st.integers(0, 99), st.sampled_from(["${}", "{} dollars", "USD {}", "US$ {}"])
)
DATES = st.sampled_from(
    ["today", "tomorrow", "in 3 days", "on the 5th of June", "2027-12-24", "June 7, 2028", *map(str.title, WEEKDAYS)]
)
TEXTS = st.text(st.characters(exclude_characters='{}"\u201c\u201d', exclude_categories=["Cs"]), min_size=1).filter(
    str.strip
)
EVERYTHING = PlanLibrary(
    [
        example(
            "Tell {who:person} in {city:place} that {sum:amount} is due {day:date}: "
            "{why:text}, {count:number} times, at {mail:email}"
        ),
        example("Tell {who:person} that {sum:amount} is due {day:date}", id="shorter"),
        example("Tell {who:person} in {city:place}: {why:text}", id="other"),
    ]
)


@given(PERSONS, PLACES, AMOUNTS, DATES, TEXTS, st.integers(0, 999_999_999), st.booleans())
def test_what_is_filled_in_is_found_again(
    who: str, city: str, money: tuple[int, int, str], day: str, why: str, count: int, grouped: bool
) -> None:
    whole, cents, form = money
    figure = f"{whole:,}" if grouped else str(whole)
    goal = (
        f"Tell {who} in {city} that {form.format(f'{figure}.{cents:02}')} is due {day}: "
        f'"{why}", {count} times, at ana@example.com'
    )
    assume(len(goal) <= MAX_GOAL_LENGTH)
    when = resolve_date(day, NOW)
    assert when is not None
    plan = bound(EVERYTHING, goal)
    assert plan is not None
    assert {**plan, "why": None} == {
        "who": who,
        "city": city,
        "sum": {"currency": "USD", "value": f"{whole}.{cents:02}"},
        "day": when.isoformat(),
        "why": None,
        "count": count,
        "mail": "ana@example.com",
    }
    assert _composed(plan["why"]) == _composed(why)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@given(st.permutations(["Book", "a", "flight", "to", "Paris", "tomorrow"]))
def test_the_same_words_in_another_order_are_another_goal(words: list[str]) -> None:
    goal = " ".join(words)
    assert (bound(FLIGHT, goal) == PARIS) == (words == ["Book", "a", "flight", "to", "Paris", "tomorrow"])


ASK_IN_ANOTHER_PROCESS = """
import json, sys
from tests.unit.planning.samples import example, request
from apex.planning.library import PlanLibrary
from apex.planning.unplanned import NoPlanner
from apex.errors import GoalNotPlanned
library = PlanLibrary([example(goal, id=f"e{n}") for n, goal in enumerate(json.loads(sys.argv[1]))])
answers = []
for goal in json.loads(sys.argv[2]):
    proposal = library.find(request(goal))
    if proposal:
        answers.append([proposal.plan.to_wire(), proposal.planned_by.to_wire()])
    else:
        try:
            NoPlanner(library).make(request(goal))
        except GoalNotPlanned as error:
            answers.append(str(error))
print(json.dumps(answers))
"""


def test_every_process_gives_the_same_answers() -> None:
    wordings = [
        "Book a flight to {to:place} {day:date}",
        "Pay {sum:amount} to {who:person}",
        "Say {what:text}",
        "Pay {who:person}",
    ]
    goals = ["Book a flight to New York on Friday", "Pay $5 to Ana", "Pay a visit", "say hello", "Book it", 'Say "hi"']
    answers: list[Any] = []
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", ASK_IN_ANOTHER_PROCESS, json.dumps(wordings), json.dumps(goals)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1] == answers[2]
    assert [type(answer) for answer in answers[0]] == [list, list, str, str, str, list]
