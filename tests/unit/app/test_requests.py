"""How failures are put into words: short, readable, and without secrets."""

import json

import pytest

from apex.app.requests import describe, failure_of
from apex.errors import StepRejected

SECRET = "Bearer sk-live-abcdefghijklmnop123456"


def caught(cause: str, **fields: object) -> dict[str, object]:
    return {"step_id": "s1", "error": "StepRejected", "cause": cause, **fields}


def lambda_cause(message: str) -> str:
    return json.dumps({"errorMessage": message, "errorType": "StepRejected", "stackTrace": ["  File ..."]})


def test_the_message_of_a_lambda_error_is_taken_from_its_cause() -> None:
    failure = failure_of(caught(lambda_cause('APX-4003 the "shop" refuses')))

    assert (failure.step_id, failure.error, failure.message) == ("s1", "StepRejected", 'APX-4003 the "shop" refuses')


def test_a_cause_that_was_cut_off_still_gives_its_message() -> None:
    failure = failure_of(caught(lambda_cause("APX-4003 the shop refuses")[:40]))

    assert failure.message.startswith("APX-4003 the shop")
    assert "errorMessage" not in failure.message


def test_quotes_and_line_ends_of_a_cut_off_message_are_read_as_they_were_meant() -> None:
    whole = lambda_cause('refused:\n - "lamp" is sold out' + " and so on" * 200)

    message = failure_of(caught(whole[:1500])).message

    assert message.startswith('refused:\n - "lamp" is sold out and so on')


@pytest.mark.parametrize("cause", ["", None])
def test_a_failure_without_a_cause_is_told_by_its_name(cause: object) -> None:
    assert failure_of({"error": "States.Timeout", "cause": cause}).message == "States.Timeout"
    assert failure_of({}).error == "unknown"


@pytest.mark.parametrize("cause", ["[]", "17", '{"other": 1}', '{"errorMessage"', "not JSON at all"])
def test_a_cause_of_another_kind_is_told_as_it_is(cause: str) -> None:
    assert failure_of(caught(cause)).message == cause


def test_secrets_are_taken_out_before_anything_is_stored() -> None:
    for cause in (lambda_cause(f"refused: {SECRET}"), f"refused: {SECRET}"):
        message = failure_of(caught(cause)).message
        assert message.startswith("refused")
        assert SECRET not in message
    assert SECRET not in describe(ValueError(f"refused: {SECRET}"))


def test_a_long_story_is_cut() -> None:
    assert len(failure_of(caught("word " * 1000)).message) <= 500
    assert len(describe(ValueError("word " * 1000))) <= 500


def test_an_error_is_described_by_its_class_and_message() -> None:
    assert describe(StepRejected("sold out")) == "StepRejected: sold out"
    assert describe(KeyError("id")) == "KeyError: 'id'"


def test_half_a_character_is_not_stored() -> None:
    """A cut may fall between the two halves of a character, and a provider may send anything."""
    for text in (describe(ValueError("a \ud83d b")), failure_of(caught(lambda_cause("a \U0001f600")[:25])).message):
        assert text.encode().decode() == text
