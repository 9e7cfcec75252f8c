"""Handlers in threads answer, fail and overrun as they would on AWS."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from awslambdaric.lambda_context import LambdaContext

from apex.errors import LocalCloudError
from infra.cloud.settings import Settings
from infra.local.cloud import LocalCloud
from infra.local.lambdas import Answer, Function
from infra.local.lambdas.context import Context
from infra.local.lambdas.threads import ThreadInvoker
from infra.local.lambdas.workers import TookTooLong, Workers

ECHO = "apex-dev-fixture-echo"
TROUBLE = "apex-dev-fixture-trouble"

Proceed = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def cloud(small_house: Settings) -> Iterator[LocalCloud]:
    with LocalCloud(settings=small_house) as running:
        yield running


def invoke(cloud: LocalCloud, function: str, event: Any, **options: Any) -> tuple[str | None, Any]:
    """(FunctionError, payload) of one invocation through the API."""
    response = cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode(), **options)
    body = response["Payload"].read()
    return response.get("FunctionError"), json.loads(body) if body else None


def test_a_handler_gets_its_event_and_knows_its_invocation(cloud: LocalCloud) -> None:
    error, answer = invoke(cloud, ECHO, {"tenant": "t", "numbers": [1, 2.5, None], "text": "ä"})

    assert error is None
    assert answer["event"] == {"tenant": "t", "numbers": [1, 2.5, None], "text": "ä"}
    assert answer["function"] == ECHO
    assert answer["arn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{ECHO}"
    assert answer["memory"] == "512"
    assert 9000 < answer["remaining"] <= 10_000


def test_each_invocation_has_its_own_request_id(cloud: LocalCloud) -> None:
    ids = {invoke(cloud, ECHO, {})[1]["request"] for _ in range(3)}
    assert len(ids) == 3


def test_a_handler_cannot_change_the_callers_event(small_house: Settings) -> None:
    seen = []

    def around(_: str, event: dict[str, Any], proceed: Proceed) -> Any:
        seen.append(event)
        event["list"].append("changed")
        return proceed(event)

    invoker = ThreadInvoker(around)
    function = Function(ECHO, "arn", "functions.fixture_echo.handler.handler", timeout=5)
    payload = json.dumps({"list": []})
    first, second = invoker.invoke(function, payload), invoker.invoke(function, payload)
    invoker.close()
    assert json.loads(first.payload)["event"] == json.loads(second.payload)["event"] == {"list": ["changed"]}


def test_the_class_of_an_exception_is_the_error_type(cloud: LocalCloud) -> None:
    error, document = invoke(cloud, TROUBLE, {"kind": "raise"})

    assert error == "Unhandled"
    assert document["errorType"] == "PaymentDeclined"
    assert document["errorMessage"] == "no credit left"
    assert len(document["requestId"]) == 36
    assert "fixture_trouble/handler.py" in document["stackTrace"][0]
    assert "PaymentDeclined" in document["stackTrace"][-1]


def test_a_result_that_is_not_json_is_a_marshal_error(cloud: LocalCloud) -> None:
    error, document = invoke(cloud, TROUBLE, {"kind": "not-json"})
    assert error == "Unhandled"
    assert document["errorType"] == "Runtime.MarshalError"


def test_results_follow_the_json_rules_of_the_runtime(cloud: LocalCloud) -> None:
    assert invoke(cloud, TROUBLE, {"kind": "decimal"}) == (None, {"price": 12.3, "pair": [1, 2]})


def test_leaving_the_interpreter_is_an_exit_error(cloud: LocalCloud) -> None:
    error, document = invoke(cloud, TROUBLE, {"kind": "exit"})
    assert error == "Unhandled"
    assert document["errorType"] == "Runtime.ExitError"
    assert document["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")


def test_an_overrun_is_a_timeout_and_the_thread_lives_on(cloud: LocalCloud, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    error, document = invoke(cloud, TROUBLE, {"kind": "sleep", "seconds": 3, "mark": str(mark)})

    assert error == "Unhandled"
    assert document["errorType"] == "Sandbox.Timedout"
    assert document["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert not mark.exists()
    assert cloud.running_handlers() == 1

    end = time.monotonic() + 20
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert mark.read_text(encoding="utf-8") == "finished"


def test_the_machine_runs_the_same_function(cloud: LocalCloud) -> None:
    client = cloud.client("stepfunctions")
    started = client.start_execution(
        stateMachineArn=cloud.outputs["AgentWorkflowMachineArn"], input=json.dumps({"tenant": "acme"})
    )
    end = time.monotonic() + 10
    while (found := client.describe_execution(**{"executionArn": started["executionArn"]}))["status"] == "RUNNING":
        assert time.monotonic() < end
        time.sleep(0.01)
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"tenant": "acme"})


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("functions.nowhere.handler.handler", "Runtime.ImportModuleError"),
        ("functions.fixture_echo.handler.missing", "Runtime.HandlerNotFound"),
    ],
)
def test_code_that_cannot_be_loaded_is_reported_as_on_aws(small_house: Settings, handler: str, error_type: str) -> None:
    invoker = ThreadInvoker()
    answer = invoker.invoke(Function("f", "arn", handler, timeout=1), "{}")
    invoker.close()
    assert answer.failed
    assert json.loads(answer.payload)["errorType"] == error_type


def test_the_context_has_what_the_real_one_has() -> None:
    ours = Context(Function("f", "arn:f", "m.h", timeout=3, memory=256))
    real = LambdaContext("id", None, None, 0, "arn:f")
    public = {name for name in vars(real) if not name.startswith("_")}
    assert public <= set(vars(ours))
    assert (ours.function_name, ours.invoked_function_arn, ours.memory_limit_in_mb) == ("f", "arn:f", "256")


def test_the_context_counts_down_to_zero() -> None:
    context = Context(Function("f", "arn", "m.h", timeout=0.05))
    first = context.get_remaining_time_in_millis()
    time.sleep(0.06)
    assert first > 0
    assert context.get_remaining_time_in_millis() == 0


def test_idle_threads_are_used_again() -> None:
    workers = Workers()
    threads = {workers.run(threading.get_ident, 5) for _ in range(20)}
    workers.close()
    assert len(threads) == 1


def test_a_thread_that_took_too_long_serves_others_when_it_is_done() -> None:
    workers, release = Workers(), threading.Event()
    with pytest.raises(TookTooLong):
        workers.run(lambda: release.wait(5), 0.01)
    assert workers.busy() == 1
    release.set()
    end = time.monotonic() + 5
    while workers.busy() and time.monotonic() < end:
        time.sleep(0.005)
    assert workers.busy() == 0
    workers.close()
    with pytest.raises(LocalCloudError):
        workers.run(lambda: None, 1)


def test_concurrent_calls_do_not_wait_for_each_other(small_house: Settings) -> None:
    barrier = threading.Barrier(8, timeout=10)
    answers: list[Answer] = []

    def around(_: str, event: dict[str, Any], proceed: Proceed) -> Any:
        barrier.wait()
        return proceed(event)

    invoker = ThreadInvoker(around)
    function = Function(ECHO, "arn", "functions.fixture_echo.handler.handler", timeout=10)
    callers = [
        threading.Thread(target=lambda: answers.append(invoker.invoke(function, "{}"))) for _ in range(barrier.parties)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    invoker.close()
    assert [answer.failed for answer in answers] == [False] * 8


def test_an_asynchronous_invocation_returns_at_once_and_is_carried_out(cloud: LocalCloud, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    event = {"kind": "sleep", "seconds": 0.8, "mark": str(mark)}
    answer = cloud.client("lambda").invoke(
        FunctionName=TROUBLE, InvocationType="Event", Payload=json.dumps(event).encode()
    )
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    assert not mark.exists()
    assert cloud.drain(10)
    assert mark.exists()


def test_a_dry_run_runs_nothing(cloud: LocalCloud, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    event = {"kind": "sleep", "seconds": 0, "mark": str(mark)}
    answer = cloud.client("lambda").invoke(
        FunctionName=TROUBLE, InvocationType="DryRun", Payload=json.dumps(event).encode()
    )
    assert answer["StatusCode"] == 204
    assert not mark.exists()
