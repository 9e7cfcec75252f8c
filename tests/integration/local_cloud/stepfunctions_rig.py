"""A Step Functions of its own for one test: definitions in, executions out, plain functions behind lambda:invoke."""

import importlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import boto3
from moto import mock_aws
from moto.awslambda.models import LambdaFunction

from infra.local.repairs import Repair
from infra.local.repairs.stepfunctions_patching import replace

MODULES = ("api", "clock", "definitions", "executions", "jsonata", "speed", "states")
Json = Any
Handler = Callable[[Json], Json]


def stepfunctions_repairs() -> tuple[Repair, ...]:
    modules = [importlib.import_module(f"infra.local.repairs.stepfunctions_{name}") for name in MODULES]
    return tuple(repair for module in modules for repair in module.REPAIRS)


def machine(start: str, **states: Json) -> Json:
    """A definition in JSONata whose states are the keyword arguments."""
    return {"QueryLanguage": "JSONata", "StartAt": start, "States": states}


def call(function: str, payload: Json, **fields: Json) -> Json:
    """A Task state that invokes a function; fields are added as they are."""
    arguments = {"FunctionName": function, "Payload": payload}
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, **fields}


def wait_for_token(**fields: Json) -> Json:
    """A Task state that hands its token to the function ``keep_token`` and waits."""
    payload = {"token": "{% $states.context.Task.Token %}", "execution": "{% $states.context.Execution.Id %}"}
    state = call("keep_token", payload, Output="{% $states.result %}", End=True)
    return {**state, "Resource": state["Resource"] + ".waitForTaskToken", **fields}


@dataclass(frozen=True)
class Outcome:
    """What DescribeExecution says in the end, with the output read."""

    arn: str
    status: str
    output: Json
    error: str | None
    cause: str | None
    described: Json


class Rig:
    """Runs machines in moto; ``handlers`` are the Lambda functions by name, and may be added to at any time."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {"echo": lambda event: event, "keep_token": self._keep_token}
        self._tokens: dict[str, str] = {}
        self.client: Any = boto3.client("stepfunctions", region_name="us-east-1")
        self._lambda: Any = boto3.client("lambda", region_name="us-east-1")
        iam: Any = boto3.client("iam", region_name="us-east-1")
        self.role: str = iam.create_role(RoleName="role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        self._deployed: set[str] = set()
        self._numbers = count(1)

    def _keep_token(self, event: Json) -> Json:
        self._tokens[event["execution"]] = event["token"]
        return {}

    def token(self, arn: str) -> str:
        """The token of the execution's task that waits, once it waits."""
        self._until(lambda: arn in self._tokens)
        return self._tokens.pop(arn)

    def deploy(self, definition: Json) -> str:
        for name in self.handlers.keys() - self._deployed:
            self._lambda.create_function(
                FunctionName=name, Runtime="python3.11", Role=self.role, Handler="h", Code={"ZipFile": b"x"}
            )
            self._deployed.add(name)
        text = definition if isinstance(definition, str) else json.dumps(definition)
        name = f"machine-{next(self._numbers)}"
        answer = self.client.create_state_machine(name=name, definition=text, roleArn=self.role)
        return str(answer["stateMachineArn"])

    def start(self, definition: Json, data: Json = None, **options: Json) -> str:
        arn = self.deploy(definition)
        given = {} if data is None else data
        return str(self.client.start_execution(stateMachineArn=arn, input=json.dumps(given), **options)["executionArn"])

    def run(self, definition: Json, data: Json = None, within: float = 15.0) -> Outcome:
        """Start and wait for the end, at most ``within`` seconds of real time; then the status is RUNNING."""
        return self.outcome(self.start(definition, data, name=f"run-{next(self._numbers)}"), within)

    def outcome(self, arn: str, within: float = 15.0) -> Outcome:
        self._until(lambda: self.describe(arn)["status"] != "RUNNING", within)
        described = self.describe(arn)
        output = json.loads(described["output"]) if "output" in described else None
        return Outcome(arn, described["status"], output, described.get("error"), described.get("cause"), described)

    def describe(self, arn: str) -> Json:
        return self.client.describe_execution(executionArn=arn)

    def history(self, arn: str) -> list[Json]:
        return list(self.client.get_execution_history(executionArn=arn, maxResults=1000)["events"])

    def types(self, arn: str) -> list[str]:
        return [event["type"] for event in self.history(arn)]

    def until_type(self, arn: str, kind: str) -> None:
        self._until(lambda: kind in self.types(arn))

    @staticmethod
    def _until(condition: Callable[[], bool], within: float = 15.0) -> None:
        end = time.monotonic() + within
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)


def _answers_from(rig: Rig) -> Callable[..., tuple[str, bool, str]]:
    def invoke(self: LambdaFunction, event: Json = None) -> tuple[str, bool, str]:
        given = json.loads(event) if isinstance(event, (str, bytes)) else event
        try:
            return json.dumps(rig.handlers[self.function_name](given)), False, ""
        except Exception as error:
            failure = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            return json.dumps(failure), True, ""

    return invoke


@contextmanager
def installed(repairs: Iterable[Repair]) -> Iterator[None]:
    """These repairs, for as long as the context is open."""
    with ExitStack() as stack:
        for repair in repairs:
            stack.callback(repair.install())
        yield


@contextmanager
def running_rig() -> Iterator[Rig]:
    """A fresh Step Functions as moto has it; everything is as before when the context closes."""
    with ExitStack() as stack:
        stack.enter_context(mock_aws(config={"stepfunctions": {"execute_state_machine": True}}))
        rig = Rig()
        stack.callback(replace((LambdaFunction, "_invoke_lambda", _answers_from(rig))))
        yield rig
