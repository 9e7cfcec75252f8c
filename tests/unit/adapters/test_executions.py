"""What is asked of Step Functions, seen by a client that only listens."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from apex.adapters.executions import StepFunctionsExecutions
from apex.errors import StoreError


class Listener:
    """A Step Functions client that remembers what it was asked, and answers or fails as told."""

    def __init__(self, code: str | None = None) -> None:
        self.code = code
        self.asked: list[dict[str, Any]] = []

    def _answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(asked)
        if self.code:
            raise ClientError({"Error": {"Code": self.code, "Message": ""}}, operation)
        return {"status": "RUNNING"}

    def start_execution(self, **asked: Any) -> dict[str, Any]:
        return self._answer("StartExecution", asked)

    def describe_execution(self, **asked: Any) -> dict[str, Any]:
        return self._answer("DescribeExecution", asked)


def executions(client: Listener) -> StepFunctionsExecutions:
    return StepFunctionsExecutions(
        client, "arn:aws:states:r:a:stateMachine:agent", "arn:aws:states:r:a:stateMachine:rb"
    )


def test_executions_are_named_after_workflow_and_generation_and_share_a_trace() -> None:
    client = Listener()
    executions(client).start_agent("acme", "w1", 1)
    executions(client).start_rollback("acme", "w1", 2)

    assert [asked["name"] for asked in client.asked] == ["w1-1", "w1-2-rb"]
    headers = [asked["traceHeader"] for asked in client.asked]
    assert headers[0].startswith("Root=1-")
    assert len({header.rsplit("-", 1)[1] for header in headers}) == 1


def test_an_execution_that_exists_is_the_one_that_was_wanted() -> None:
    assert executions(Listener("ExecutionAlreadyExists")).start_agent("acme", "w1", 1) == "w1-1"


def test_any_other_refusal_is_told() -> None:
    with pytest.raises(StoreError, match="StateMachineDoesNotExist"):
        executions(Listener("StateMachineDoesNotExist")).start_agent("acme", "w1", 1)


def test_the_status_of_an_execution_is_asked_by_its_computed_arn() -> None:
    client = Listener()
    assert executions(client).rollback_status("w1", 3) == "RUNNING"
    assert client.asked == [{"executionArn": "arn:aws:states:r:a:execution:rb:w1-3-rb"}]


def test_an_execution_that_never_was_has_no_status() -> None:
    assert executions(Listener("ExecutionDoesNotExist")).agent_status("w1", 1) is None


def test_a_status_that_cannot_be_read_is_told() -> None:
    with pytest.raises(StoreError, match="Throttling"):
        executions(Listener("Throttling")).agent_status("w1", 1)
