from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.planning.entities import Kind, recognise

NOW = datetime(2027, 6, 4, 15, 30, tzinfo=UTC)


def value(kind: Kind, text: str) -> Any:
    entity = recognise(kind, text, NOW)
    return None if entity is None else entity.value


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("$900", "USD", "900"),
        ("$ 900", "USD", "900"),
        ("900 dollars", "USD", "900"),
        ("€1,250.50", "EUR", "1250.50"),
        ("USD 900", "USD", "900"),
        ("900 EUR", "EUR", "900"),
        ("US$1,000,000", "USD", "1000000"),
        ("£0.99", "GBP", "0.99"),
        ("007 pounds", "GBP", "7"),
    ],
)
def test_an_amount_is_a_currency_and_an_exact_decimal(text: str, currency: str, amount: str) -> None:
    entity = recognise(Kind.AMOUNT, text, NOW)
    assert entity is not None
    assert entity.value == {"currency": currency, "value": amount}
    assert (entity.part("value"), entity.part("currency"), entity.part("text")) == (amount, currency, text)


@pytest.mark.parametrize(
    "text",
    [
        "900", "$", "-$5", "$-5", "$1,25", "$1.250,50", "$1.250", "$900k", "$1 million", "$900 CAD",
        "900 Canadian dollars",
        "about $900", "$900 or $800", "up to $900", "$900-1000", "¥500", "$1e3", "$٩٠٠", "$NaN", "$1234567890123456",
    ],
)  # fmt: skip
def test_what_is_not_exactly_one_amount_is_none(text: str) -> None:
    assert value(Kind.AMOUNT, text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Paris", "New York", "the Eiffel Tower", "The Hague", "Rio de Janeiro", "Stoke-on-Trent", "Aix-en-Provence",
        "King's Cross",
        "Musée d'Orsay", "São Paulo", "St. Petersburg", "Newcastle upon Tyne", "Statue of Liberty", "Los Angeles",
        "Zürich",
    ],
)  # fmt: skip
def test_a_place_is_one_capitalised_name(text: str) -> None:
    assert value(Kind.PLACE, text) == text


@pytest.mark.parametrize(
    "text",
    [
        "paris", "the airport", "Paris and London", "Paris And London", "PARIS AND LONDON", "Paris or London",
        "Paris, London",
        "Paris, Texas", "Paris/London", "Paris & London", "Paris-and-London", "every Hilton", "Every Hilton",
        "All Hotels",
        "Anywhere except Paris", "Paris Tomorrow", "Paris Friday", "Paris On Friday", "Paris to London",
        "Paris Not London",
        "Paris Business Class", "Paris Please", "Paris 2", "Paris. London", "My House", "the", "The", "Isle of",
        "Paris Then Rome",
        "Paris via London", "Paris {{s1.card}}", "Paris\u200bLondon", "東京と大阪", "", " ", "A B C D E F G H",
    ],
)  # fmt: skip
def test_what_may_be_more_than_one_place_is_none(text: str) -> None:
    assert value(Kind.PLACE, text) is None


@pytest.mark.parametrize(
    "text", ["Ana", "Ludwig van Beethoven", "J. S. Bach", "Dr. Jane O'Neill", "Jean-Luc Picard", "José Núñez"]
)
def test_a_person_is_one_capitalised_name(text: str) -> None:
    assert value(Kind.PERSON, text) == text


@pytest.mark.parametrize(
    "text", ["me", "Me", "my wife", "Ana and Bob", "Ana, Bob", "the Pope", "Ana tomorrow", "ana", "Both Anas"]
)
def test_what_may_be_more_than_one_person_is_none(text: str) -> None:
    assert value(Kind.PERSON, text) is None


def test_names_keep_the_original_and_are_handed_over_tidied() -> None:
    entity = recognise(Kind.PLACE, "King\u2019s   Cross", NOW)
    assert entity is not None
    assert entity.text == "King\u2019s   Cross"
    assert entity.value == "King's Cross"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Kind.EMAIL, "ana.b+x@mail.example.com", "ana.b+x@mail.example.com"),
        (Kind.EMAIL, "ana@localhost", None),
        (Kind.EMAIL, "ana@example.com, bob@example.com", None),
        (Kind.EMAIL, "@example.com", None),
        (Kind.EMAIL, "a..b@example.com", None),
        (Kind.NUMBER, "3", 3),
        (Kind.NUMBER, "Three", 3),
        (Kind.NUMBER, "1,200", 1200),
        (Kind.NUMBER, "-3", None),
        (Kind.NUMBER, "2.5", None),
        (Kind.NUMBER, "a few", None),
        (Kind.TEXT, '"call Ana"', "call Ana"),
        (Kind.TEXT, "\u201ccall Ana\u201d", "call Ana"),
        (Kind.TEXT, '"a" and "b"', None),
        (Kind.TEXT, '""', None),
        (Kind.TEXT, "call Ana", None),
        (Kind.TEXT, '"send {{s2.card}}"', None),
        (Kind.DATE, "tomorrow", "2027-06-05"),
    ],
)
def test_emails_numbers_texts_and_dates(kind: Kind, text: str, expected: Any) -> None:
    assert value(kind, text) == expected


@given(kind=st.sampled_from(Kind), text=st.text(max_size=40))
def test_whatever_is_written_gives_an_answer_and_never_lets_braces_through(kind: Kind, text: str) -> None:
    entity = recognise(kind, text, NOW)
    if entity is not None:
        assert entity.text == text
        assert "{" not in str(entity.part("text")) + (entity.value if isinstance(entity.value, str) else "")
