import pytest

from apex.cache.kinds import kind_of
from apex.cache.templates import SLOT, Placed, Template, induce, locate
from apex.cache.text import Goal, form, readings


def induced(text: str, *arguments: tuple[str, str]) -> Template:
    goal = Goal.read(text)
    placed = locate(goal, arguments)
    assert placed is not None
    template = induce(1, goal, "intent", placed, wonders=False)
    assert template is not None
    return template


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("tomorrow", "date"),
        ("next friday", "date"),
        ("march 3rd", "date"),
        ("2026-12-24", "date"),
        ("6:30 pm", "clock"),
        ("eight o'clock", "clock"),
        ("friday at 3 pm", "moment"),
        ("five minutes", "duration"),
        ("twenty one", "number"),
        ("1,250", "number"),
        ("$1,250", "amount"),
        ("90 dollars", "amount"),
        ("ann@example.com", "email"),
        ("inv-1001", "id"),
        ("portugal", "country"),
        ("texas", "state"),
        ("carol diaz", "open"),
        ("at", "open"),
    ],
)
def test_spans_have_kinds(text: str, kind: str) -> None:
    assert kind_of(tuple(Goal.read(text).keys)) == kind


def test_polite_words_are_no_part_of_a_template() -> None:
    assert induced("Hi, could you please send it to Bob asap", ("who", "Bob")).shape == ("send", "it", "to", SLOT)


def test_polite_words_that_are_an_argument_stay() -> None:
    assert induced("book it now", ("when", "now")).shape == ("book", "it", SLOT)


def test_a_value_that_stands_twice_has_no_certain_place() -> None:
    assert locate(Goal.read("move Bob next to Bob"), (("who", "Bob"),)) is None


def test_equal_values_of_different_arguments_have_no_certain_place() -> None:
    assert locate(Goal.read("from Rome to Rome"), (("origin", "Rome"), ("destination", "Rome"))) is None


def test_equal_values_of_one_argument_have_places() -> None:
    found = locate(Goal.read("Rome and Rome"), (("city", "Rome"), ("city", "Rome")))
    assert found == (Placed("city", 0, 1), Placed("city", 2, 3))


def test_arguments_keep_their_spelling() -> None:
    goal = Goal.read("play Köln\u2019s “Best Of”")
    assert goal.value(1, 2) == "Köln"


def test_every_ending_can_be_left_out_or_kept() -> None:
    keys = Goal.read("please stop now please").keys
    assert {keys[reading.start : reading.end] for reading in readings(keys)} >= {("stop", "now"), ("stop",), keys}


@pytest.mark.parametrize(
    ("word", "expected"), [("tickets", "ticket"), ("searching", "find"), ("bus", "bus"), ("class", "class")]
)
def test_wording_is_looked_up_by_its_form(word: str, expected: str) -> None:
    assert form(word) == expected
