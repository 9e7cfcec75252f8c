"""Tables, queues and functions on bare moto with the data repairs in place, without a template around them."""

import functools
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import boto3
from moto import mock_aws
from moto.awslambda.models import LambdaFunction

from infra.local.repairs import Repair
from infra.local.repairs.stepfunctions_patching import replace

MODULES = ("dynamodb", "dynamodb_capacity", "dynamodb_speed", "dynamodb_values", "eventbridge")
ACCOUNT = "123456789012"
Json = Any


def data_repairs() -> tuple[Repair, ...]:
    modules = [importlib.import_module(f"infra.local.repairs.{name}") for name in MODULES]
    return tuple(repair for module in modules for repair in module.REPAIRS)


@contextmanager
def moto_with(repairs: tuple[Repair, ...]) -> Iterator[None]:
    with ExitStack() as undo:
        undo.enter_context(mock_aws(config={"stepfunctions": {"execute_state_machine": True}}))
        for repair in repairs:
            undo.callback(repair.install())
        yield


@functools.cache
def client(service: str) -> Any:
    """A client for the whole process: moto answers it whenever it is mocking, and making one takes longest."""
    return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]


def key_schema(*names: str) -> Json:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


def make_tables(*, stream: str | None = "NEW_IMAGE") -> Any:
    """``events`` (pk, n: number; streamed), ``things`` (pk, sk; index ``by_owner`` of keys) and ``names`` (pk)."""
    dynamodb = client("dynamodb")
    streamed = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": stream}} if stream else {}
    dynamodb.create_table(
        TableName="events",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=key_schema("pk", "n"),
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "n", "AttributeType": "N"},
        ],
        **streamed,
    )
    dynamodb.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=key_schema("pk", "sk"),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "owner", "since")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_owner",
                "KeySchema": key_schema("owner", "since"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    dynamodb.create_table(
        TableName="names",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=key_schema("pk"),
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    return dynamodb


class Receiver:
    """A function that keeps what it was given; ``behave`` decides what it answers (an exception is a failure)."""

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self.events: list[Json] = []
        self.invoked = threading.Event()
        self.behave: Callable[[Json], Json] = lambda event: None
        self._lock = threading.Lock()

    def __call__(self, event: Json) -> Json:
        with self._lock:
            self.events.append(event)
        self.invoked.set()
        return self.behave(event)

    @property
    def batches(self) -> list[list[str]]:
        """The partition keys of the records of each invocation."""
        return [[record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"]] for event in self.events]


class Functions:
    """Plain Python callables behind moto's functions."""

    def __init__(self) -> None:
        self.receivers: dict[str, Receiver] = {}

    def make(self, name: str) -> Receiver:
        role = client("iam").create_role(RoleName=f"role-of-{name}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        made = client("lambda").create_function(
            FunctionName=name, Runtime="python3.11", Role=role, Handler="a.b", Code={"ZipFile": b"code"}
        )
        self.receivers[name] = Receiver(made["FunctionArn"])
        return self.receivers[name]

    def run(self, function: LambdaFunction, event: Json = None) -> tuple[str, bool, str]:
        try:
            answer = self.receivers[function.function_name](event)
        except Exception as error:
            return json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}), True, ""
        return json.dumps(answer), False, ""


@contextmanager
def functions_in_process() -> Iterator[Functions]:
    """Functions made with the result run in this process instead of in Docker."""
    functions = Functions()
    undo = replace((LambdaFunction, "_invoke_lambda", lambda function, event=None: functions.run(function, event)))
    try:
        yield functions
    finally:
        undo()


def map_stream(function: Receiver, table: str = "events", **settings: Json) -> str:
    stream = client("dynamodb").describe_table(TableName=table)["Table"]["LatestStreamArn"]
    mapped = client("lambda").create_event_source_mapping(
        EventSourceArn=stream, FunctionName=function.arn, **{"StartingPosition": "TRIM_HORIZON", **settings}
    )
    return str(mapped["UUID"])


class Queue:
    """An SQS queue to look into."""

    def __init__(self, name: str) -> None:
        self._sqs = client("sqs")
        self.url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"

    def has_messages(self) -> bool:
        """Whether there is something to take."""
        asked = ["ApproximateNumberOfMessages"]
        found = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=asked)["Attributes"]
        return found != {"ApproximateNumberOfMessages": "0"}

    def take(self) -> list[Json]:
        """All messages, with body text and attributes; they are gone afterwards."""
        taken: list[Json] = []
        while messages := self._sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                attributes = {k: v["StringValue"] for k, v in message.get("MessageAttributes", {}).items()}
                taken.append({"body": message["Body"], "attributes": attributes})
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return taken


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether the condition holds within the time; looked at again and again."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()
