"""Looks at one behaviour per repair: run as a program, it prints as JSON what each probe saw with one repair missing.

``python -m tests.integration.local_cloud.stepfunctions_probes without`` leaves out, for each probe, the repair it is
named after; ``with`` leaves out none. Errors of a probe are observations too, because a defect may well be a crash.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from moto.core.botocore_stubber import BotocoreStubber
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import (
    InlineIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_sfn
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from infra.local.repairs.stepfunctions_clock import time_scale
from infra.local.repairs.stepfunctions_executions import subscribe
from infra.local.repairs.stepfunctions_patching import replace
from tests.integration.local_cloud.stepfunctions_rig import (
    Rig,
    call,
    installed,
    machine,
    running_rig,
    stepfunctions_repairs,
    wait_for_token,
)

Probe = Callable[[Rig], Any]
PROBES: dict[str, tuple[Probe, Any]] = {}
_CHILD = machine("Done", Done={"Type": "Pass", "End": True})
_SUCCEED = {"Type": "Succeed"}


def probe(repair: str, expected: Any) -> Callable[[Probe], Probe]:
    """Register what is seen when the repair is in place."""

    def register(function: Probe) -> Probe:
        PROBES[f"stepfunctions-{repair}"] = (function, expected)
        return function

    return register


def _code(action: Callable[[], Any]) -> str:
    try:
        action()
    except Exception as error:
        return str(getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__))
    return "accepted"


@probe("jsonata", 2)
def jsonata(rig: Rig) -> Any:
    return rig.run(machine("A", A={"Type": "Pass", "Output": "{% 1 + 1 %}", "End": True})).output


@probe("terminal-errors", "States.DataLimitExceeded")
def terminal_errors(rig: Rig) -> Any:
    rig.handlers["big"] = lambda _: "x" * 300_000
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    return rig.run(machine("A", A=call("big", {}, Catch=catch, End=True), Caught=_SUCCEED)).error


@probe("nested-errors", "SUCCEEDED")
def nested_errors(rig: Rig) -> Any:
    inner = {
        "StartAt": "Inner",
        "States": {"Inner": {"Type": "Pass", "Output": "{% $nowhere %}", "End": True}},
    }
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "Caught"}]
    each = {"Type": "Map", "Items": [1], "ItemProcessor": inner, "Catch": catch, "End": True}
    return rig.run(machine("A", A=each, Caught=_SUCCEED)).status


@probe("assign-order", 1)
def assign_order(rig: Rig) -> Any:
    first = {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"}
    second = {"Type": "Pass", "Assign": {"x": 2}, "Output": "{% $x %}", "End": True}
    return rig.run(machine("A", A=first, B=second)).output


@probe("output-errors", "SUCCEEDED")
def output_errors(rig: Rig) -> Any:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    task = call("echo", {}, Output="{% $states.result.nowhere %}", Catch=catch, End=True)
    return rig.run(machine("A", A=task, Caught=_SUCCEED)).status


@probe("choice", ["States.NoChoiceMatched", True])
def choice(rig: Rig) -> Any:
    rule = {"Condition": "{% $states.input.go %}", "Assign": {"by_rule": True}, "Next": "B"}
    unmatched = rig.run(machine("A", A={"Type": "Choice", "Choices": [rule]}, B=_SUCCEED), {"go": False})
    to_default = {"Type": "Choice", "Choices": [rule], "Default": "B", "Assign": {"by_rule": False}}
    last = {"Type": "Pass", "Output": "{% $by_rule %}", "End": True}
    return [unmatched.error, rig.run(machine("A", A=to_default, B=last), {"go": True}).output]


@probe("condition", "States.QueryEvaluationError")
def condition(rig: Rig) -> Any:
    rule = {"Condition": "{% 1 %}", "Next": "B"}
    return rig.run(machine("A", A={"Type": "Choice", "Choices": [rule], "Default": "B"}, B=_SUCCEED)).error


@probe("task-limits", ["States.DataLimitExceeded", "TaskTimedOut"])
def task_limits(rig: Rig) -> Any:
    ended = threading.Event()

    def slow_handler(_: Any) -> None:
        time.sleep(1.2)
        ended.set()

    rig.handlers["slow"] = slow_handler
    big = rig.run(machine("A", A=call("echo", {"text": "{% $pad('', 300000, 'x') %}"}, Output="small", End=True)))
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Wait"}]
    slow = call("slow", {}, TimeoutSeconds=1, Catch=catch, End=True)
    arn = rig.start(machine("A", A=slow, Wait={"Type": "Wait", "Seconds": 1, "End": True}))
    rig.outcome(arn)
    ended.wait(5)
    task_ends = [kind for kind in rig.types(arn) if kind in {"TaskTimedOut", "TaskSucceeded"}]
    return [big.error, ",".join(task_ends)]


@probe("map-workers", 2)
def map_workers(rig: Rig) -> Any:
    started: list[Any] = []
    original = InlineIterationComponent._launch_worker

    def launch(self: Any, *args: Any, **kwargs: Any) -> Any:
        started.append(self)
        return original(self, *args, **kwargs)

    inner = {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": True}}}
    each = {"Type": "Map", "Items": [1, 2], "MaxConcurrency": 9, "ItemProcessor": inner, "End": True}
    undo = replace((InlineIterationComponent, "_launch_worker", launch))
    rig.run(machine("A", A=each))
    undo()
    return len(started)


@probe("start", ["accepted", "InvalidName", False])
def start(rig: Rig) -> Any:
    arn = rig.deploy(_CHILD)
    first = rig.client.start_execution(stateMachineArn=arn)["executionArn"]
    rig.outcome(first)
    again = _code(lambda: rig.client.start_execution(stateMachineArn=arn))
    return [
        again,
        _code(lambda: rig.client.start_execution(stateMachineArn=arn, name="a b")),
        first.endswith(":None"),
    ]


@probe("life", ["RUNNING", "SUCCEEDED"])
def life(rig: Rig) -> Any:
    seen: list[tuple[str, str]] = []
    unsubscribe = subscribe(lambda detail: seen.append((detail["executionArn"], detail["status"])))
    arn = rig.start(_CHILD)
    rig.outcome(arn)

    def told() -> list[str]:
        # The end of an execution of an earlier probe may be announced only now.
        return [status for execution, status in seen if execution == arn]

    # Whoever asks may see the end before it is announced.
    end = time.monotonic() + 1
    while len(told()) < 2 and time.monotonic() < end:
        time.sleep(0.001)
    unsubscribe()
    return told()


@probe("end", ["text", '"text"'])
def end(rig: Rig) -> Any:
    outcome = rig.outcome(rig.start(machine("A", A={"Type": "Pass", "Output": "text", "End": True})))
    return [outcome.output, outcome.described["output"]]


@probe("stop", ["ABORTED", "Error", "Cause"])
def stop(rig: Rig) -> Any:
    arn = rig.start(machine("A", A=wait_for_token(TimeoutSeconds=60)))
    rig.token(arn)
    rig.client.stop_execution(executionArn=arn, error="Error", cause="Cause")
    described = rig.describe(arn)
    return [described["status"], described.get("error"), described.get("cause")]


@probe("final-states", ["ABORTED", 1])
def final_states(rig: Rig) -> Any:
    entered, leave = threading.Event(), threading.Event()

    def handler(_: Any) -> None:
        entered.set()
        leave.wait(10)

    rig.handlers["slow"] = handler
    arn = rig.start(machine("A", A=call("slow", {}, End=True)))
    entered.wait(10)
    rig.client.stop_execution(executionArn=arn)
    leave.set()
    time.sleep(0.3)
    return [rig.describe(arn)["status"], rig.types(arn).count("ExecutionAborted")]


@probe("task-tokens", ["Denied", "because", "InvalidOutput", "TaskTimedOut"])
def task_tokens(rig: Rig) -> Any:
    arn = rig.start(machine("A", A=wait_for_token(TimeoutSeconds=60)))
    token = rig.token(arn)
    broken = _code(lambda: rig.client.send_task_success(taskToken=token, output="{"))
    if broken == "InvalidOutput":
        rig.client.send_task_failure(taskToken=token, error="Denied", cause="because")
    outcome = rig.outcome(arn)
    late = _code(lambda: rig.client.send_task_success(taskToken=token, output="{}"))
    return [outcome.error, outcome.cause, broken, late]


@probe("stop-answer", [True, "Error"])
def stop_answer(rig: Rig) -> Any:
    arn = rig.start(machine("A", A={"Type": "Wait", "Seconds": 60, "End": True}))
    answer = rig.client.stop_execution(executionArn=arn, error="Error")
    rig.outcome(arn)
    return ["stopDate" in answer, rig.describe(arn).get("error")]


@probe("timed-out-answer", ["TIMED_OUT", True])
def timed_out_answer(rig: Rig) -> Any:
    late = {**machine("A", A={"Type": "Wait", "Seconds": 60, "End": True}), "TimeoutSeconds": 1}
    described = rig.run(late).described
    return [described["status"], "stopDate" in described]


@probe("integrations", ["SUCCEEDED", True])
def integrations(rig: Rig) -> Any:
    arguments = {"StateMachineArn": rig.deploy(_CHILD), "Name": "child", "Input": {"a": 1}}
    resource = "arn:aws:states:::states:startExecution"
    task = {"Type": "Task", "Resource": resource, "Arguments": arguments, "End": True}
    outcome = rig.run(machine("A", A=task))
    return [outcome.status, "ExecutionArn" in (outcome.output or {})]


@probe("definitions", ["InvalidDefinition"] * 3)
def definitions(rig: Rig) -> Any:
    bad_query = machine("A", A={"Type": "Pass", "Output": "{% 1 + %}", "End": True})
    nowhere = machine("A", A={"Type": "Pass", "Next": "B"})
    return [_code(partial(rig.deploy, bad)) for bad in (bad_query, nowhere, {"StartAt": "A"})]


@probe("error-codes", "MissingRequiredParameter")
def error_codes(rig: Rig) -> Any:
    arn = rig.deploy(_CHILD)
    return _code(lambda: rig.client.update_state_machine(stateMachineArn=arn))


@probe("assign-text", 'a "b"\n')
def assign_text(rig: Rig) -> Any:
    first = {"Type": "Pass", "Assign": {"x": 'a "b"\n'}, "Next": "B"}
    return rig.run(machine("A", A=first, B={"Type": "Pass", "Output": "{% $x %}", "End": True})).output


@probe("wait", "SUCCEEDED")
def wait(rig: Rig) -> Any:
    with time_scale(0.01):
        return rig.run(machine("A", A={"Type": "Wait", "Seconds": 20, "End": True}), within=1.5).status


@probe("retry-pause", "SUCCEEDED")
def retry_pause(rig: Rig) -> Any:
    attempts: list[int] = []

    def flaky(_: Any) -> int:
        attempts.append(1)
        if len(attempts) < 2:
            raise ValueError("not yet")
        return 1

    rig.handlers["flaky"] = flaky
    retry = [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 20}]
    with time_scale(0.01):
        return rig.run(machine("A", A=call("flaky", {}, Retry=retry, End=True)), within=1.5).status


@probe("parse-once", True)
def parse_once(_: Rig) -> Any:
    text = json.dumps(_CHILD)
    return AmazonStateLanguageParser.parse(text) is AmazonStateLanguageParser.parse(text)


@probe("clients-once", True)
def clients_once(_: Rig) -> Any:
    make = state_task_service_sfn.boto_client_for
    return make(region="us-east-1", service="sqs") is make(region="us-east-1", service="sqs")


@probe("direct-invocation", 0)
def direct_invocation(rig: Rig) -> Any:
    requests: list[Any] = []
    original = BotocoreStubber.process_request

    def count(self: Any, request: Any) -> Any:
        requests.append(request.url)
        return original(self, request)

    arn = rig.deploy(machine("A", A=call("echo", {}, End=True)))
    undo = replace((BotocoreStubber, "process_request", count))
    rig.outcome(rig.client.start_execution(stateMachineArn=arn)["executionArn"])
    undo()
    return sum("lambda" in url for url in requests)


@probe("direct-calls", [])
def direct_calls(rig: Rig) -> Any:
    arn = rig.deploy(machine("A", A={"Type": "Pass", "End": True}))
    requests: list[str] = []
    original = BotocoreStubber.process_request

    def note(self: Any, request: Any) -> Any:
        requests.append(request.headers["X-Amz-Target"].decode())
        return original(self, request)

    undo = replace((BotocoreStubber, "process_request", note))
    rig.client.describe_execution(executionArn=rig.client.start_execution(stateMachineArn=arn)["executionArn"])
    undo()
    return requests


@probe("spare-threads", 1)
def spare_threads(rig: Rig) -> Any:
    """On how many threads ten tasks ran that follow each other."""
    threads: list[threading.Thread] = []
    rig.handlers["which"] = lambda _: threads.append(threading.current_thread())
    states = {f"A{n}": call("which", {}, Next=f"A{n + 1}") for n in range(10)}
    rig.run(machine("A0", **states, A10=_SUCCEED))
    return len({id(thread) for thread in threads})


@probe("cheap-copies", True)
def cheap_copies(_: Rig) -> Any:
    return result_path.parse("$") is result_path.parse("$")


@probe("quiet", [])
def quiet(rig: Rig) -> Any:
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keep()
    logger = logging.getLogger("moto.stepfunctions.parser.asl.component.eval_component")
    logger.addHandler(handler)
    rig.run(machine("A", A=call("echo", {}, Output="{% $nowhere %}", End=True)))
    logger.removeHandler(handler)
    return [record.levelname for record in records]


def observe(rig: Rig, name: str, missing: str | None) -> Any:
    """What the probe sees when the named repair is missing, or with all of them."""
    with installed(repair for repair in stepfunctions_repairs() if repair.name != missing):
        try:
            return PROBES[name][0](rig)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def main(mode: str) -> None:
    with running_rig() as rig:
        seen = {name: observe(rig, name, name if mode == "without" else None) for name in PROBES}
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    logging.getLogger("moto").propagate = False
    main(sys.argv[1])
