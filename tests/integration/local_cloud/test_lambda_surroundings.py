"""What surrounds a handler in a local cloud: faults, variables, its log, and the end of the cloud."""

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from apex.errors import LocalCloudError
from infra.local.cloud import LocalCloud
from infra.local.lambdas import SandboxTimedOut
from infra.local.lambdas.logs import LogLine

ECHO = "apex-dev-fixture-echo"
TROUBLE = "apex-dev-fixture-trouble"

Proceed = Callable[[dict[str, Any]], Any]


def invoke(cloud: LocalCloud, function: str, event: Any) -> Any:
    """The payload of one invocation through the API."""
    response = cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    return json.loads(response["Payload"].read())


def test_what_a_handler_prints_is_its_log_and_not_our_output(
    start_cloud: Callable[..., LocalCloud], capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[LogLine] = []
    cloud = start_cloud(on_log=heard.append)
    invoke(cloud, TROUBLE, {"kind": "print", "text": "line one\nline two"})
    assert [line.text for line in cloud.logs(TROUBLE)] == ["line one", "line two"]
    assert heard == cloud.logs()
    assert "line one" not in capsys.readouterr().out


def test_faults_can_be_injected_around_every_invocation(start_cloud: Callable[..., LocalCloud]) -> None:
    def around(function: str, event: dict[str, Any], proceed: Proceed) -> Any:
        match event.get("fault"):
            case "before":
                raise ConnectionError("lost before")
            case "after":
                proceed(event)
                raise ConnectionError("lost after")
            case "timeout":
                raise SandboxTimedOut
            case "change":
                return proceed({**event, "changed_in": function})
        return proceed(event)

    cloud = start_cloud(around_invoke=around)

    assert invoke(cloud, ECHO, {"fault": "before"})["errorMessage"] == "lost before"
    assert invoke(cloud, ECHO, {"fault": "after"})["errorType"] == "ConnectionError"
    assert invoke(cloud, ECHO, {"fault": "timeout"})["errorMessage"].endswith("Task timed out after 10.00 seconds")
    assert invoke(cloud, ECHO, {"fault": "change"})["event"]["changed_in"] == ECHO


def test_variables_are_in_every_functions_environment(start_cloud: Callable[..., LocalCloud]) -> None:
    cloud = start_cloud(variables={"APEX_FLAVOUR": "vanilla"})
    assert invoke(cloud, TROUBLE, {"kind": "environment", "name": "APEX_FLAVOUR"}) == "vanilla"
    assert invoke(cloud, TROUBLE, {"kind": "environment", "name": "APEX_JOURNAL_TABLE"}) == "apex-dev-journal"


def test_a_zombie_of_a_stopped_cloud_reaches_nothing(start_cloud: Callable[..., LocalCloud]) -> None:
    released = threading.Event()
    outcomes: list[Any] = []

    def around(_: str, event: dict[str, Any], proceed: Proceed) -> Any:
        client = boto3.client("dynamodb", region_name="us-east-1")
        released.wait(10)
        item = {"pk": {"S": "late"}, "sk": {"S": "write"}}
        for call in (client.list_tables, lambda: client.put_item(TableName="apex-dev-records", Item=item)):
            try:
                outcomes.append(call())
            except LocalCloudError as error:
                outcomes.append(error)
        return proceed(event)

    first = start_cloud(around_invoke=around)
    invoke(first, TROUBLE, {"kind": "print", "text": "-"})
    first.stop()
    second = start_cloud()
    released.set()

    end = time.monotonic() + 5
    while len(outcomes) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert [type(outcome) for outcome in outcomes] == [LocalCloudError, LocalCloudError]
    assert second.client("dynamodb").scan(TableName="apex-dev-records")["Items"] == []


def test_standard_output_is_restored(start_cloud: Callable[..., LocalCloud]) -> None:
    before = sys.stdout
    cloud = start_cloud()
    assert sys.stdout is not before
    cloud.stop()
    assert sys.stdout is before
