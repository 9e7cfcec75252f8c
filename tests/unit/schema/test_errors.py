"""The error tree: one stable code each, with cause and remedy, and a drawing that is true."""

import json
import re

import pytest

from apex import errors
from apex.errors import ApexError, PlanInvalid, SchemaInvalid, StoreError, ToolRetryable, all_errors

# Codes are never reused and never change their meaning; whoever adds an error adds its line.
CODES = {
    "APX-0001": "ApexError",
    "APX-1000": "InvalidInput",
    "APX-1001": "SchemaInvalid",
    "APX-1101": "PlanInvalid",
    "APX-1102": "ReferenceInvalid",
    "APX-1400": "NotFound",
    "APX-1401": "WorkflowNotFound",
    "APX-1402": "ToolNotFound",
    "APX-1500": "Conflict",
    "APX-1501": "KeyReused",
    "APX-2001": "GoalNotPlanned",
    "APX-2101": "PolicyDenied",
    "APX-3000": "ToolError",
    "APX-3001": "ToolRejected",
    "APX-3002": "ToolRetryable",
    "APX-3003": "ToolOutcomeUnknown",
    "APX-4000": "StepError",
    "APX-4001": "StepBusy",
    "APX-4002": "StepRetryable",
    "APX-4003": "StepRejected",
    "APX-4004": "StepUnknown",
    "APX-4005": "StepUnresolved",
    "APX-4006": "StepFenced",
    "APX-4007": "StepPaused",
    "APX-4101": "UndoFailed",
    "APX-5000": "StoreError",
    "APX-5001": "HeadChanged",
    "APX-5002": "StepChanged",
    "APX-5003": "StoreContended",
    "APX-5004": "JournalCorrupt",
    "APX-6000": "LocalCloudError",
    "APX-6001": "DataDirectoryBusy",
    "APX-6002": "TemplateNotSupported",
}


def of_the_project() -> list[type[ApexError]]:
    return [error for error in all_errors() if error.__module__ == errors.__name__]


def test_no_error_has_lost_or_changed_its_code() -> None:
    found = {error.code: error.__name__ for error in of_the_project()}
    assert found.items() >= CODES.items()


def test_every_error_has_a_code_a_cause_and_a_remedy_of_its_own() -> None:
    classes = of_the_project()
    assert len({error.code for error in classes}) == len(classes)
    for error in classes:
        assert re.fullmatch(r"APX-\d{4}", error.code)
        for text in (error.__dict__["cause"], error.__dict__["remedy"]):
            assert text[0].isupper()
            assert text.endswith(".")


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert errors.__doc__ is not None
    drawn: list[tuple[str, str]] = []
    above: list[str] = ["ApexError"]
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ([│ ]*)[├└]── (\w+)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            drawn.append((match[2], above[depth - 1]))
            above[depth:] = [match[2]]
    assert sorted(drawn) == sorted(
        (error.__name__, error.__bases__[0].__name__) for error in of_the_project() if error is not ApexError
    )


def test_an_error_tells_its_code_and_serialises() -> None:
    error = StoreError("the table is gone", table="journal")
    assert str(error) == "APX-5000 the table is gone"
    assert json.loads(json.dumps(error.to_dict())) == {
        "code": "APX-5000",
        "message": "the table is gone",
        "remedy": StoreError.remedy,
        "table": "journal",
    }


def test_all_problems_stand_in_the_message_and_in_the_details() -> None:
    error = PlanInvalid("the plan was refused", ["one", "two"])
    assert str(error) == "APX-1101 the plan was refused\n  - one\n  - two"
    assert error.problems == error.to_dict()["problems"] == ["one", "two"]
    assert SchemaInvalid("odd").problems == []


@pytest.mark.parametrize("error", [error for error in all_errors() if error.__module__ == errors.__name__])
def test_every_error_is_made_from_a_message_alone(error: type[ApexError]) -> None:
    made = error("what happened")
    assert str(made).startswith(f"{error.code} what happened")
    assert made.to_dict()["message"].startswith("what happened")


def test_how_long_to_wait_is_kept() -> None:
    assert ToolRetryable("later", retry_after=2.5).retry_after == 2.5
    assert ToolRetryable("later").retry_after is None
