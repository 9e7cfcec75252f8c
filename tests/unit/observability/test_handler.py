"""What every Lambda handler gets from the decorator around it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from apex.errors import StepBusy, StoreContended
from apex.observability import annotate, bind, bound_fields, count, handler, logger_for

Records = Callable[[], list[dict[str, Any]]]
EVENT = {"tenant": "acme", "workflow_id": "w-1", "generation": 2, "step_id": "s1", "attempt": 3, "trace_id": "t-1"}
CONTEXT = SimpleNamespace(aws_request_id="r-1")
FIELDS = {**EVENT, "request_id": "r-1"}


def nothing(event: Any, context: object) -> None:
    """A handler that does nothing."""


def echo(event: Any, context: object) -> Any:
    """A handler that answers with its event."""
    return event


def test_start_and_success_are_logged_once_each_with_the_fields_of_the_event(lines: Records) -> None:
    @handler(service="find-plan")
    def find(event: dict[str, Any], context: object) -> dict[str, Any]:
        return {"seen": event["step_id"]}

    assert find(EVENT, CONTEXT) == {"seen": "s1"}
    started, succeeded = lines()
    assert (started["message"], succeeded["message"]) == ("started", "succeeded")
    for line in (started, succeeded):
        assert line["level"] == "INFO"
        assert line["service"] == "find-plan"
        assert {name: line[name] for name in FIELDS} == FIELDS
    assert succeeded["duration_ms"] >= 0


def test_the_tool_of_a_function_is_a_field_and_a_dimension(lines: Records, documents: Records) -> None:
    handler(service="tool", tool="book_flight")(nothing)({**EVENT, "tool": "other"}, CONTEXT)
    assert {line["tool"] for line in lines()} == {"book_flight"}
    (document,) = documents()
    assert document["tool"] == "book_flight"
    assert document["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["env", "service", "tool"]]


def test_one_metric_document_tells_outcome_and_duration(documents: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APEX_ENV", "prod")

    @handler(service="find-plan")
    def find(event: dict[str, Any], context: object) -> None:
        count("PlanFound")

    find(EVENT, CONTEXT)
    (document,) = documents()
    assert document["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Apex"
    assert {metric["Name"] for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]} == {
        "PlanFound",
        "Succeeded",
        "Duration",
    }
    assert (document["env"], document["service"], document["tenant"]) == ("prod", "find-plan", "acme")


def run(error: Exception) -> None:
    @handler(service="tool-charge")
    def fail(event: dict[str, Any], context: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail(EVENT, CONTEXT)
    assert caught.value is error


def test_a_step_that_signals_the_state_machine_is_no_failure(lines: Records, documents: Records) -> None:
    run(StepBusy("another attempt holds the lease"))
    line = lines()[-1]
    assert (line["level"], line["message"], line["code"], line["error"]) == (
        "WARNING",
        "signalled",
        "APX-4001",
        "StepBusy",
    )
    assert documents()[0]["Signalled"] == [1.0]
    assert "Failed" not in documents()[0]


def test_a_known_error_is_logged_with_its_code_and_raised_on(lines: Records, documents: Records) -> None:
    run(StoreContended("gave up"))
    line = lines()[-1]
    assert (line["level"], line["message"], line["code"]) == ("ERROR", "failed", "APX-5003")
    assert "exception" not in line
    assert documents()[0]["Failed"] == [1.0]


def test_an_unknown_error_is_logged_with_its_traceback_and_without_secrets(lines: Records) -> None:
    error = ValueError("password=hunter2 of ada@example.com")
    error.__cause__ = KeyError("card 4111111111111111")
    error.add_note("Authorization: Bearer abcdefgh12345678")
    run(error)
    line = lines()[-1]
    assert (line["level"], line["code"], line["exception_name"]) == ("ERROR", "APX-0001", "ValueError")
    assert "Traceback" in line["exception"]
    assert "KeyError" in line["exception"]
    for secret in ("hunter2", "ada@example.com", "4111111111111111", "abcdefgh12345678"):
        assert secret not in str(line)


def test_an_interruption_passes_through_and_leaves_nothing_bound(lines: Records) -> None:
    @handler(service="find-plan")
    def interrupted(event: dict[str, Any], context: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(EVENT, CONTEXT)
    assert [line["message"] for line in lines()] == ["started"]
    assert bound_fields() == {}


@pytest.mark.parametrize("event", [None, [], "text", {}, {"tenant": 7, "generation": "2", "attempt": True}])
def test_an_event_of_another_shape_has_no_fields_and_is_the_handlers_business(event: Any, lines: Records) -> None:
    assert handler(service="find-plan")(echo)(event, None) == event
    assert not {"tenant", "generation", "attempt", "request_id"} & set(lines()[0])


def test_fields_learned_on_the_way_hold_until_the_invocation_ends(lines: Records, documents: Records) -> None:
    @handler(service="api")
    def api(event: dict[str, Any], context: object) -> None:
        annotate(tenant="acme")
        with bind(workflow_id="w-9"):
            logger_for("api").info("accepted")

    api({}, CONTEXT)
    started, accepted, succeeded = lines()
    assert "tenant" not in started
    assert (accepted["tenant"], accepted["workflow_id"]) == ("acme", "w-9")
    assert succeeded["tenant"] == "acme"
    assert "workflow_id" not in succeeded
    assert documents()[0]["tenant"] == "acme"
    assert bound_fields() == {}


def test_the_trace_that_lambda_names_is_the_trace_unless_the_event_names_one(
    lines: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
    traced = handler(service="find-plan")(nothing)
    traced({"tenant": "acme"}, CONTEXT)
    traced({"tenant": "acme", "trace_id": "t-1"}, CONTEXT)
    assert [line["trace_id"] for line in lines()] == ["1-5759e988-bd862e3fe1be46a994272793"] * 2 + ["t-1"] * 2
    assert {line["xray_trace_id"] for line in lines()} == {"1-5759e988-bd862e3fe1be46a994272793"}


def test_concurrent_invocations_never_see_each_others_fields(lines: Records, documents: Records) -> None:
    """Both are inside their handler at once, twice, so any field shared between threads would show."""
    meet = threading.Barrier(2, timeout=10)

    @handler(service="shared")
    def shared(event: dict[str, Any], context: object) -> None:
        meet.wait()
        annotate(step_id=f"step-of-{event['tenant']}")
        count("Worked", 1 if event["tenant"] == "acme" else 100)
        meet.wait()
        logger_for("shared").info("working", extra={"expected": event["tenant"]})
        meet.wait()

    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            one = pool.submit(shared, {"tenant": "acme", "workflow_id": "w-acme"}, None)
            two = pool.submit(shared, {"tenant": "globex"}, None)
            one.result()
            two.result()
    working = [line for line in lines() if line["message"] == "working"]
    assert len(working) == 40
    for line in working:
        assert line["tenant"] == line["expected"]
        assert line["step_id"] == f"step-of-{line['expected']}"
        assert ("workflow_id" in line) == (line["expected"] == "acme")
    assert len(documents()) == 40
    for document in documents():
        assert document["Worked"] == ([1.0] if document["tenant"] == "acme" else [100.0])


def test_a_handler_called_by_a_handler_gives_the_fields_back(lines: Records) -> None:
    inner = handler(service="inner")(nothing)

    @handler(service="outer")
    def outer(event: dict[str, Any], context: object) -> None:
        inner({"tenant": "globex", "step_id": "x"}, None)
        logger_for("outer").info("back")

    outer({"tenant": "acme"}, None)
    back = next(line for line in lines() if line["message"] == "back")
    assert back["tenant"] == "acme"
    assert "step_id" not in back
