"""EventBridge in the local cloud: who gets an event, what exactly they get, and what becomes of it when they cannot."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.deliveries import Deliveries
from infra.local.durability import Durability
from infra.local.event_inputs import InputInvalid, target_input
from infra.local.lambda_calls import TargetUnreachable
from infra.local.repairs.registry import all_repairs
from infra.local.schedule_expressions import ScheduleInvalid, parse_schedule
from tests.integration.local_cloud.data_rig import (
    ACCOUNT,
    Functions,
    Queue,
    client,
    data_repairs,
    eventually,
    functions_in_process,
    moto_with,
)

MINUTE_SCALE = 0.001
"""Sixty seconds between retries become sixty milliseconds."""
Json = Any


@pytest.fixture
def functions() -> Iterator[Functions]:
    with moto_with(data_repairs()), functions_in_process() as made:
        client("events").create_event_bus(Name="bus")
        yield made


@contextmanager
def delivering(durability: Durability | None = None, time_scale: float = MINUTE_SCALE) -> Iterator[Deliveries]:
    deliveries = Deliveries(durability, time_scale=time_scale)
    deliveries.start()
    try:
        yield deliveries
    finally:
        deliveries.stop()


def rule(name: str, pattern: Json, *targets: Json, bus: str = "bus", **more: Json) -> None:
    events = client("events")
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern), **more)
    numbered = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    assert events.put_targets(Rule=name, EventBusName=bus, Targets=numbered)["FailedEntryCount"] == 0


def put(detail: Json, *, source: str = "apex", kind: str = "happened", bus: str = "bus", **more: Json) -> str:
    entry = {"EventBusName": bus, "Source": source, "DetailType": kind, "Detail": json.dumps(detail), **more}
    answer = client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0
    return str(answer["Entries"][0]["EventId"])


def failing(times: int) -> Any:
    left = iter(range(times))

    def behave(event: Json) -> None:
        if next(left, None) is not None:
            raise RuntimeError("not yet")

    return behave


# ── what targets get ────────────────────────────────────────────────────────────────────────────────────────


def test_a_function_gets_the_whole_envelope(functions: Functions) -> None:
    taker = functions.make("taker")
    rule("r", {"source": ["apex"]}, {"Arn": taker.arn})
    with delivering() as deliveries:
        identity = put({"a": [1, {"b": None}]}, Resources=["arn:x"], Time=datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC))
        assert deliveries.drain()
    assert taker.events == [
        {
            "version": "0",
            "id": identity,
            "detail-type": "happened",
            "source": "apex",
            "account": ACCOUNT,
            "time": "2025-01-02T03:04:05Z",
            "region": "us-east-1",
            "resources": ["arn:x"],
            "detail": {"a": [1, {"b": None}]},
        }
    ]


def test_queues_get_parts_constants_and_transformed_texts(functions: Functions) -> None:
    queue = Queue("q")
    template = '{"who": <who>, "text": "<who> says <count>", "all": <detail>, "rule": "<aws.events.rule-name>"}'
    paths = {"who": "$.detail.who", "count": "$.detail.list[1]", "detail": "$.detail"}
    detail = {"who": 'An "A"', "list": [1, 2]}
    rule(
        "r",
        {"source": ["apex"]},
        {"Arn": queue.arn, "InputPath": "$.detail.list"},
        {"Arn": queue.arn, "Input": '{"constant": true}'},
        {"Arn": queue.arn, "InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}},
    )
    with delivering() as deliveries:
        put(detail)
        assert deliveries.drain()
    bodies = sorted((json.loads(message["body"]) for message in queue.take()), key=str)
    transformed = {"who": 'An "A"', "text": 'An "A" says 2', "all": detail, "rule": "r"}
    assert bodies == sorted([[1, 2], {"constant": True}, transformed], key=str)


@given(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_a_transformed_input_is_json_whatever_the_event_holds(text: str, value: Json) -> None:
    event = {"time": "2025-01-01T00:00:00Z", "detail": {"text": text, "value": value}}
    template = '{"alone": <t>, "quoted": "(<t>)", "value": <v>, "text": "<v>", "none": <absent>, "no": "<absent>"}'
    paths = {"t": "$.detail.text", "v": "$.detail.value", "absent": "$.detail.absent"}
    transformer = {"InputPathsMap": paths, "InputTemplate": template}
    made = json.loads(target_input({"InputTransformer": transformer}, event, "arn:rule/r"))
    assert (made["alone"], made["quoted"], made["value"]) == (text, f"({text})", value)
    assert made["text"] == (value if isinstance(value, str) else json.dumps(value))
    assert (made["none"], made["no"]) == (None, "")


def test_an_input_that_is_no_json_is_refused() -> None:
    transformer = {"InputTemplate": "no json"}
    with pytest.raises(InputInvalid):
        target_input({"InputTransformer": transformer}, {"time": ""}, "arn:rule/r")
    with pytest.raises(InputInvalid):
        target_input({"InputPath": "detail"}, {}, "arn:rule/r")


def test_a_state_machine_is_started_with_the_event() -> None:
    definition = {"QueryLanguage": "JSONata", "StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
    with moto_with(all_repairs()):
        role = client("iam").create_role(RoleName="machines", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        machines = client("stepfunctions")
        made = machines.create_state_machine(name="m", definition=json.dumps(definition), roleArn=role)
        client("events").create_event_bus(Name="bus")
        rule("r", {"source": ["apex"]}, {"Arn": made["stateMachineArn"], "InputPath": "$.detail"})
        with delivering() as deliveries:
            put({"workflow_id": "w"})
            assert deliveries.drain()
        (execution,) = machines.list_executions(stateMachineArn=made["stateMachineArn"])["executions"]
        described = machines.describe_execution(executionArn=execution["executionArn"])
        assert json.loads(described["input"]) == {"workflow_id": "w"}


# ── who gets an event ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ({"source": ["apex", "other"]}, "abcd"),
        ({"detail-type": ["nothing like it"]}, ""),
        ({"detail": {"status": ["FAILED"]}}, "a"),
        ({"detail": {"status": [{"anything-but": "FAILED"}]}}, "bc"),
        ({"detail": {"status": [{"anything-but": ["FAILED", "ABORTED"]}]}}, "c"),
        ({"detail": {"status": [{"anything-but": {"prefix": "F"}}]}}, "bc"),
        ({"detail": {"status": [{"prefix": "A"}]}}, "b"),
        ({"detail": {"status": [{"exists": False}]}}, "d"),
        ({"detail": {"status": [{"exists": True}]}}, "abc"),
        ({"detail": {"n": [{"numeric": [">=", 2, "<", 4]}]}}, "bc"),
        ({"detail": {"tags": ["x"]}}, "ac"),
        ({"detail": {"status": ["FAILED", "ABORTED"], "n": [1]}}, "a"),
        ({"$or": [{"detail": {"n": [1]}}, {"detail": {"n": [4]}}]}, "ad"),
    ],
)
def test_patterns_choose(functions: Functions, pattern: Json, taken: str) -> None:
    details: dict[str, dict[str, Json]] = {
        "a": {"status": "FAILED", "n": 1, "tags": ["x", "y"]},
        "b": {"status": "ABORTED", "n": 2, "tags": ["y"]},
        "c": {"status": "SUCCEEDED", "n": 3, "tags": ["x"]},
        "d": {"n": 4},
    }
    taker = functions.make("taker")
    rule("r", pattern, {"Arn": taker.arn, "InputPath": "$.detail.name"})
    with delivering() as deliveries:
        for name, detail in details.items():
            put({**detail, "name": name})
        assert deliveries.drain()
    assert sorted(taker.events) == sorted(taken)


def test_disabled_rules_other_buses_and_schedules_get_nothing(functions: Functions) -> None:
    taker = functions.make("taker")
    rule("off", {"source": ["apex"]}, {"Arn": taker.arn}, State="DISABLED")
    rule("elsewhere", {"source": ["apex"]}, {"Arn": taker.arn}, bus="default")
    client("events").put_rule(Name="daily", ScheduleExpression="rate(1 day)")
    client("events").put_targets(Rule="daily", Targets=[{"Id": "1", "Arn": taker.arn}])
    with delivering(time_scale=1.0) as deliveries:
        put({})
        put({}, bus="default", source="somebody else")
        assert deliveries.drain()
    assert taker.events == []


# ── when it does not work ───────────────────────────────────────────────────────────────────────────────────


def test_the_sender_does_not_wait(functions: Functions) -> None:
    taker, may_go_on = functions.make("taker"), threading.Event()
    taker.behave = lambda event: may_go_on.wait(10) and None
    rule("r", {"source": ["apex"]}, {"Arn": taker.arn})
    with delivering() as deliveries:
        put({})
        assert not deliveries.drain(timeout=0.05)
        may_go_on.set()
        assert deliveries.drain()


def test_a_failing_function_is_tried_three_times_and_then_reported(functions: Functions) -> None:
    taker, reports = functions.make("taker"), Queue("reports")
    taker.behave = failing(99)
    client("lambda").put_function_event_invoke_config(
        FunctionName="taker", DestinationConfig={"OnFailure": {"Destination": reports.arn}}
    )
    rule("r", {"source": ["apex"]}, {"Arn": taker.arn, "InputPath": "$.detail"})
    with delivering() as deliveries:
        put({"v": 1})
        assert deliveries.drain()
    assert taker.events == [{"v": 1}] * 3
    (message,) = reports.take()
    report = json.loads(message["body"])
    assert report["requestPayload"] == {"v": 1}
    assert report["responsePayload"] == {"errorType": "RuntimeError", "errorMessage": "not yet"}
    assert report["requestContext"]["condition"] == "RetriesExhausted"
    assert report["requestContext"]["approximateInvokeCount"] == 3


def test_a_function_that_recovers_is_not_reported(functions: Functions) -> None:
    taker, reports = functions.make("taker"), Queue("reports")
    taker.behave = failing(2)
    client("lambda").put_function_event_invoke_config(
        FunctionName="taker", DestinationConfig={"OnFailure": {"Destination": reports.arn}}
    )
    with delivering() as deliveries:
        deliveries.invoke_async(taker.arn, '{"v": 1}')
        assert deliveries.drain()
    assert len(taker.events) == 3
    assert reports.take() == []


def test_configured_retries_hold_for_asynchronous_calls(functions: Functions) -> None:
    taker = functions.make("taker")
    taker.behave = failing(99)
    client("lambda").put_function_event_invoke_config(FunctionName="taker", MaximumRetryAttempts=0)
    with delivering() as deliveries:
        deliveries.invoke_async(taker.arn, "{}")
        assert deliveries.drain()
        with pytest.raises(TargetUnreachable):
            deliveries.invoke_async(taker.arn + "-that-is-not-there", "{}")
    assert len(taker.events) == 1


def test_an_event_without_a_reachable_target_goes_to_the_dead_letter_queue(functions: Functions) -> None:
    taker, dead = functions.make("taker"), Queue("dead")
    missing = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:missing"
    rule("r", {"source": ["apex"]}, {"Arn": missing, "DeadLetterConfig": {"Arn": dead.arn}}, {"Arn": taker.arn})
    with delivering() as deliveries:
        put({"v": 1})
        assert deliveries.drain()
    (letter,) = dead.take()
    assert json.loads(letter["body"])["detail"] == {"v": 1}
    assert letter["attributes"]["TARGET_ARN"] == missing
    assert letter["attributes"]["RULE_ARN"].endswith("rule/bus/r")
    assert len(taker.events) == 1, "the other target gets its event all the same"


def test_what_was_accepted_is_delivered_after_a_restart(tmp_path: Path) -> None:
    for life in (1, 2):
        with moto_with(data_repairs()), functions_in_process() as functions:
            client("events").create_event_bus(Name="bus")
            taker = functions.make("taker")
            taker.behave = failing(1 if life == 1 else 0)
            rule("r", {"source": ["apex"]}, {"Arn": taker.arn, "InputPath": "$.detail"})
            durability = Durability(tmp_path)
            durability.attach()
            with delivering(durability, time_scale=1.0 if life == 1 else MINUTE_SCALE) as deliveries:
                if life == 1:
                    put({"v": 1})
                    assert taker.invoked.wait(10), "the first attempt"
                else:
                    assert deliveries.drain()
            durability.close()
            assert taker.events == [{"v": 1}]
    with moto_with(data_repairs()), functions_in_process():
        durability = Durability(tmp_path)
        assert durability.store.deliveries() == []
        durability.close()


# ── events of the local cloud itself ────────────────────────────────────────────────────────────────────────


def test_status_changes_of_executions_reach_rules_of_the_default_bus() -> None:
    failing_machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "Fail",
        "States": {"Fail": {"Type": "Fail", "Error": "Oops", "Cause": "because"}},
    }
    with moto_with(all_repairs()):
        queue = Queue("changes")
        rule(
            "janitor",
            {
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"]},
            },
            {"Arn": queue.arn},
            bus="default",
        )
        role = client("iam").create_role(RoleName="machines", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        machines = client("stepfunctions")
        made = machines.create_state_machine(name="m", definition=json.dumps(failing_machine), roleArn=role)
        with delivering() as deliveries:
            started = machines.start_execution(stateMachineArn=made["stateMachineArn"], name="one", input='{"x": 1}')
            assert eventually(queue.has_messages)
            assert deliveries.drain()
        (message,) = queue.take()
    event = json.loads(message["body"])
    assert event["resources"] == [started["executionArn"]]
    assert event["account"] == ACCOUNT
    assert {name: event["detail"][name] for name in ("name", "status", "error", "cause", "input")} == {
        "name": "one",
        "status": "FAILED",
        "error": "Oops",
        "cause": "because",
        "input": '{"x": 1}',
    }


def test_a_scheduled_rule_fires_again_and_again(functions: Functions) -> None:
    taker = functions.make("taker")
    events = client("events")
    events.put_rule(Name="sweep", ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule="sweep", Targets=[{"Id": "1", "Arn": taker.arn}])
    with delivering(time_scale=0.002) as deliveries:
        assert eventually(lambda: len(taker.events) >= 3)
        events.disable_rule(Name="sweep")
        assert eventually(lambda: deliveries.drain() and settled(taker))
    event = taker.events[0]
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
    assert event["resources"] == [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/sweep"]


def settled(taker: Any) -> bool:
    """Whether nothing more came within several periods."""
    before = len(taker.events)
    threading.Event().wait(0.5)
    return len(taker.events) == before


NOON = datetime(2025, 1, 31, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("rate(1 minute)", NOON + timedelta(minutes=1)),
        ("rate(5 hours)", NOON + timedelta(hours=5)),
        ("rate(1 day)", NOON + timedelta(days=1)),
        ("cron(* * * * ? *)", datetime(2025, 1, 31, 12, 1, tzinfo=UTC)),
        ("cron(0/15 * * * ? *)", datetime(2025, 1, 31, 12, 15, tzinfo=UTC)),
        ("cron(0 10 * * ? *)", datetime(2025, 2, 1, 10, 0, tzinfo=UTC)),
        ("cron(30 8 ? * MON-FRI *)", datetime(2025, 2, 3, 8, 30, tzinfo=UTC)),
        ("cron(0 0 29 2 ? *)", datetime(2028, 2, 29, 0, 0, tzinfo=UTC)),
        ("cron(5,10 12 31 JAN ? 2026)", datetime(2026, 1, 31, 12, 5, tzinfo=UTC)),
        ("cron(0 0 1 1 ? 2024)", None),
    ],
)
def test_schedules_say_when_they_are_due(expression: str, due: datetime | None) -> None:
    assert parse_schedule(expression)(NOON) == due


@pytest.mark.parametrize(
    "expression", ["rate(0 minutes)", "rate(1 week)", "cron(60 * * * ? *)", "cron(0 0 L * ? *)", "cron(* * *)", "daily"]
)
def test_what_cannot_be_carried_out_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleInvalid):
        parse_schedule(expression)
