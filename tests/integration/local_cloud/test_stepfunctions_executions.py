"""The life of executions in the local Step Functions: names, ends, stops, and who is told."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.repairs.stepfunctions_executions import subscribe
from tests.integration.local_cloud.stepfunctions_rig import (
    Rig,
    call,
    installed,
    machine,
    running_rig,
    stepfunctions_repairs,
    wait_for_token,
)

DONE = machine("Done", Done={"Type": "Pass", "End": True})
WAIT = machine("Wait", Wait={"Type": "Wait", "Seconds": 60, "End": True})


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with running_rig() as found, installed(stepfunctions_repairs()):
        yield found


@pytest.fixture
def changes() -> Iterator[list[Any]]:
    seen: list[Any] = []
    unsubscribe = subscribe(seen.append)
    yield seen
    unsubscribe()


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def statuses(changes: list[Any], arn: str) -> list[str]:
    return [change["status"] for change in changes if change["executionArn"] == arn]


def test_the_same_name_and_input_is_the_same_execution_while_it_runs(rig: Rig) -> None:
    arn = rig.deploy(WAIT)
    first, second = (rig.client.start_execution(stateMachineArn=arn, name="one", input='{"a":1}') for _ in range(2))
    assert first["executionArn"] == second["executionArn"]
    with pytest.raises(ClientError) as other_input:
        rig.client.start_execution(stateMachineArn=arn, name="one", input='{"a":2}')
    assert code_of(other_input) == "ExecutionAlreadyExists"
    rig.client.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(ClientError) as after_the_end:
        rig.client.start_execution(stateMachineArn=arn, name="one", input='{"a":1}')
    assert code_of(after_the_end) == "ExecutionAlreadyExists"


def test_many_starts_of_one_name_at_once_run_once(rig: Rig) -> None:
    ran: list[Any] = []
    rig.handlers["ran"] = ran.append
    arn = rig.deploy(machine("A", A=call("ran", {}, Next="B"), B={"Type": "Wait", "Seconds": 30, "End": True}))
    barrier = threading.Barrier(8)

    def start(_: int) -> str:
        barrier.wait()
        return str(rig.client.start_execution(stateMachineArn=arn, name="once")["executionArn"])

    with ThreadPoolExecutor(8) as pool:
        arns = set(pool.map(start, range(8)))
    (only,) = arns
    rig.until_type(only, "WaitStateEntered")
    rig.client.stop_execution(executionArn=only)
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"input": "{"}, "InvalidExecutionInput"),
        ({"name": "a b"}, "InvalidName"),
        ({"input": '"' + "x" * 262_144 + '"'}, "ValidationException"),
    ],
)
def test_a_start_that_cannot_be_is_refused(rig: Rig, options: Any, code: str) -> None:
    arn = rig.deploy(DONE)
    with pytest.raises(ClientError) as refused:
        rig.client.start_execution(stateMachineArn=arn, **options)
    assert code_of(refused) == code


def test_what_does_not_exist_is_said_not_to_exist(rig: Rig) -> None:
    unknown = rig.start(DONE) + "-not"
    for ask in (rig.client.describe_execution, rig.client.stop_execution, rig.client.get_execution_history):
        with pytest.raises(ClientError) as missing:
            ask(executionArn=unknown)
        assert code_of(missing) == "ExecutionDoesNotExist"


@pytest.mark.parametrize("output", ["text", 5, None, [1], {"a": None}, True])
def test_the_output_is_json_text_whatever_it_is(rig: Rig, output: Any) -> None:
    definition = machine("A", A={"Type": "Pass", "Output": {"wrapped": output}, "Next": "B"})
    definition["States"]["B"] = {"Type": "Pass", "Output": "{% $states.input.wrapped %}", "End": True}
    outcome = rig.run(definition)
    assert (outcome.status, outcome.output) == ("SUCCEEDED", output)


def blocked(rig: Rig, name: str) -> tuple[Any, threading.Event, threading.Event]:
    """A task that runs until it is released, and the events for both."""
    entered, release = threading.Event(), threading.Event()

    def handler(_: Any) -> str:
        entered.set()
        release.wait(10)
        return "late"

    rig.handlers[name] = handler
    return call(name, {}, Next="After"), entered, release


@pytest.mark.parametrize("inside_map", [False, True])
def test_stop_does_not_wait_for_a_running_task_and_nothing_follows_it(rig: Rig, *, inside_map: bool) -> None:
    followed: list[Any] = []
    rig.handlers["after"] = followed.append
    task, entered, release = blocked(rig, f"blocked_{inside_map}")
    states = {"Task": task, "After": call("after", {}, End=True)}
    definition = machine("Task", **states)
    if inside_map:
        each = {"Type": "Map", "Items": [1], "ItemProcessor": {"StartAt": "Task", "States": states}, "End": True}
        definition = machine("Each", Each=each)
    arn = rig.start(definition)
    entered.wait(10)
    answer = rig.client.stop_execution(executionArn=arn, error="Operator", cause="enough")
    described = rig.describe(arn)
    release.set()
    time.sleep(0.2)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Operator", "enough")
    assert described["stopDate"] == answer["stopDate"]
    assert rig.describe(arn)["status"] == "ABORTED"
    assert rig.types(arn)[-1] == "ExecutionAborted"
    assert followed == []


@pytest.mark.parametrize("definition", [WAIT, machine("A", A=wait_for_token(TimeoutSeconds=60))], ids=["wait", "token"])
def test_stop_ends_what_waits_at_once(rig: Rig, definition: Any, changes: list[Any]) -> None:
    arn = rig.start(definition)
    rig.until_type(arn, "WaitStateEntered" if definition is WAIT else "TaskSubmitted")
    rig.client.stop_execution(executionArn=arn)
    assert rig.describe(arn)["status"] == "ABORTED"
    assert statuses(changes, arn) == ["RUNNING", "ABORTED"]


def test_an_execution_can_be_stopped_from_its_first_moment(rig: Rig) -> None:
    def stop(change: Any) -> None:
        if change["status"] == "RUNNING":
            rig.client.stop_execution(executionArn=change["executionArn"])

    unsubscribe = subscribe(stop)
    arn = rig.start(WAIT)
    unsubscribe()
    assert rig.describe(arn)["status"] == "ABORTED"
    assert "WaitStateEntered" not in rig.types(arn)


def test_stop_after_the_end_changes_nothing(rig: Rig) -> None:
    outcome = rig.run(DONE)
    answer = rig.client.stop_execution(executionArn=outcome.arn, error="too late")
    described = rig.describe(outcome.arn)
    assert (described["status"], described.get("error")) == ("SUCCEEDED", None)
    assert answer["stopDate"] == described["stopDate"]


def test_a_machine_times_out_even_while_a_task_runs(rig: Rig, changes: list[Any]) -> None:
    task, _, release = blocked(rig, "blocked_by_machine")
    definition = {**machine("Task", Task=task, After={"Type": "Succeed"}), "TimeoutSeconds": 1}
    outcome = rig.run(definition)
    release.set()
    time.sleep(0.2)
    assert outcome.status == rig.describe(outcome.arn)["status"] == "TIMED_OUT"
    assert "stopDate" in outcome.described
    assert rig.types(outcome.arn)[-1] == "ExecutionTimedOut"
    assert statuses(changes, outcome.arn) == ["RUNNING", "TIMED_OUT"]
    listed = rig.client.list_executions(stateMachineArn=outcome.described["stateMachineArn"])["executions"]
    assert "stopDate" in listed[0]


def test_a_machine_that_ends_in_time_is_not_timed_out_later(rig: Rig, changes: list[Any]) -> None:
    outcome = rig.run({**DONE, "TimeoutSeconds": 1})
    time.sleep(1.2)
    assert statuses(changes, outcome.arn) == ["RUNNING", "SUCCEEDED"]
    assert rig.describe(outcome.arn)["status"] == "SUCCEEDED"


def test_a_status_change_says_what_aws_says(rig: Rig, changes: list[Any]) -> None:
    failing = machine("A", A={"Type": "Fail", "Error": "Broken", "Cause": "on purpose"})
    outcome = rig.run(failing, {"a": 1})
    running, failed = (change for change in changes if change["executionArn"] == outcome.arn)
    assert (running["status"], running["stopDate"], running["output"]) == ("RUNNING", None, None)
    described = outcome.described
    assert failed == {
        **running,
        "status": "FAILED",
        "error": "Broken",
        "cause": "on purpose",
        "stopDate": pytest.approx(described["stopDate"].timestamp() * 1000, abs=1),
        "redriveStatusReason": failed["redriveStatusReason"],
    }
    assert failed["input"] == '{"a": 1}'
    assert failed["stateMachineArn"] == described["stateMachineArn"]
    assert failed["name"] == described["name"]


def test_a_status_change_leaves_out_data_that_is_too_large(rig: Rig, changes: list[Any]) -> None:
    outcome = rig.run(DONE, "x" * 150_000)
    (ended,) = [change for change in changes if change["status"] == "SUCCEEDED"]
    assert outcome.output == "x" * 150_000
    assert (ended["input"], ended["output"], ended["outputDetails"]) == (None, None, {"included": False})


def test_a_subscriber_that_fails_harms_nobody(rig: Rig, changes: list[Any]) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("not today")

    unsubscribe = subscribe(fail)
    outcome = rig.run(DONE)
    unsubscribe()
    unsubscribe()
    assert outcome.status == "SUCCEEDED"
    assert statuses(changes, outcome.arn) == ["RUNNING", "SUCCEEDED"]


def test_one_machine_starts_another_and_outlives_its_own_end(rig: Rig) -> None:
    child = rig.deploy(machine("A", A=wait_for_token(TimeoutSeconds=60)))
    arguments = {
        "StateMachineArn": child,
        "Name": "{% $states.input.id & '-rb' %}",
        "Input": {"id": "{% $states.input.id %}"},
    }
    catch = {"ErrorEquals": ["StepFunctions.ExecutionAlreadyExistsException"], "Output": "exists", "Next": "End"}
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution",
        "Arguments": arguments,
        "Output": "{% $states.result.ExecutionArn %}",
        "Catch": [catch],
        "Next": "End",
    }
    parent = machine("A", A=task, End={"Type": "Succeed"})
    started = rig.run(parent, {"id": "w1"}).output
    assert started.endswith(":w1-rb")
    assert rig.run(parent, {"id": "w1"}).output == started
    rig.client.send_task_success(taskToken=rig.token(started), output="{}")
    assert rig.outcome(started).status == "SUCCEEDED"
    assert rig.run(parent, {"id": "w1"}).output == "exists"


@pytest.mark.parametrize(
    ("status", "ending"), [("SUCCEEDED", {"Type": "Succeed"}), ("FAILED", {"Type": "Fail", "Error": "E"})]
)
def test_a_machine_can_wait_for_another(rig: Rig, status: str, ending: Any) -> None:
    child = rig.deploy(machine("A", A={"Type": "Pass", "Output": {"n": 1}, "Next": "B"}, B=ending))
    catch = {"ErrorEquals": ["States.TaskFailed"], "Output": "child failed", "Next": "End"}
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {"StateMachineArn": child, "Name": f"child-{status}"},
        "Output": "{% $states.result.Output %}",
        "Catch": [catch],
        "Next": "End",
    }
    outcome = rig.run(machine("A", A=task, End={"Type": "Succeed"}))
    assert outcome.output == ({"n": 1} if status == "SUCCEEDED" else "child failed")


def test_a_token_is_good_once(rig: Rig) -> None:
    arn = rig.start(machine("A", A=wait_for_token(TimeoutSeconds=60)))
    token = rig.token(arn)
    answers: list[str] = []

    def answer(number: int) -> None:
        try:
            rig.client.send_task_success(taskToken=token, output=str(number))
            answers.append("taken")
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(answer, range(4)))
    assert sorted(answers) == ["TaskTimedOut"] * 3 + ["taken"]
    assert rig.outcome(arn).status == "SUCCEEDED"


def test_a_token_of_a_stopped_execution_is_worth_nothing(rig: Rig) -> None:
    arn = rig.start(machine("A", A=wait_for_token(TimeoutSeconds=60)))
    token = rig.token(arn)
    rig.client.stop_execution(executionArn=arn)
    sends: list[tuple[Any, dict[str, str]]] = [
        (rig.client.send_task_success, {"output": "{}"}),
        (rig.client.send_task_failure, {"error": "E"}),
        (rig.client.send_task_heartbeat, {}),
    ]
    for send, answer in sends:
        with pytest.raises(ClientError) as refused:
            send(taskToken=token, **answer)
        assert code_of(refused) == "TaskTimedOut"
    with pytest.raises(ClientError) as unknown:
        rig.client.send_task_success(taskToken="no such token", output="{}")
    assert code_of(unknown) == "InvalidToken"


def test_an_execution_keeps_the_definition_it_started_with(rig: Rig) -> None:
    arn = rig.deploy(machine("A", A=wait_for_token(Output="old", TimeoutSeconds=60)))
    execution = rig.client.start_execution(stateMachineArn=arn)["executionArn"]
    token = rig.token(execution)
    rig.client.update_state_machine(stateMachineArn=arn, definition='{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}')
    rig.client.send_task_success(taskToken=token, output="{}")
    assert rig.outcome(execution).output == "old"


def test_many_executions_at_once_keep_their_variables_apart(rig: Rig) -> None:
    definition = machine(
        "A",
        A={"Type": "Pass", "Assign": {"n": "{% $states.input.n %}"}, "Next": "B"},
        B=call("echo", "{% $n %}", Assign={"n": "{% $states.result.Payload * 2 %}"}, Next="C"),
        C={"Type": "Pass", "Output": "{% $n %}", "End": True},
    )
    arn = rig.deploy(definition)
    started = [
        rig.client.start_execution(stateMachineArn=arn, input=f'{{"n": {number}}}')["executionArn"]
        for number in range(30)
    ]
    assert [rig.outcome(execution).output for execution in started] == [2 * number for number in range(30)]
