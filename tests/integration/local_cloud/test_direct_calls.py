"""A call that needs no message is checked, answered and refused as one that does."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from infra.local.call_parameters import copier
from infra.local.repairs.stepfunctions_speed import REPAIRS as SPEED
from tests.integration.local_cloud.data_rig import client, data_repairs, moto_with
from tests.integration.local_cloud.stepfunctions_rig import Rig, installed, machine, running_rig, stepfunctions_repairs

Json = Any

# ── parameters ──────────────────────────────────────────────────────────────────────────────────────────────

attributes = st.recursive(
    st.sampled_from([{"S": "x"}, {"S": ""}, {"N": "1"}, {"N": 1}, {"B": b"x"}, {"B": bytearray(b"x")}, {"BOOL": True}])
    | st.sampled_from([{"BOOL": 1}, {"NULL": True}, {"SS": ["a"]}, {"SS": ("a", "b")}, {"NS": [1]}, {"X": "y"}, {}, 7]),
    lambda nested: st.one_of(
        st.lists(nested, max_size=2).map(lambda items: {"L": items}),
        st.dictionaries(st.sampled_from(["a", "b"]), nested, max_size=2).map(lambda items: {"M": items}),
    ),
    max_leaves=4,
)
puts = st.fixed_dictionaries(
    {"TableName": st.sampled_from(["things", "", 3])},
    optional={
        "Item": st.dictionaries(st.sampled_from(["pk", "a"]), attributes, max_size=2) | attributes,
        "ReturnValues": st.sampled_from(["NONE", None]),
        "Unknown": st.just(1),
    },
)


def refusal(check: Callable[[], Any]) -> str | None:
    try:
        check()
    except ParamValidationError as error:
        return str(error)
    return None


@given(puts, st.booleans())
def test_parameters_are_refused_exactly_when_boto3_refuses_them_and_in_its_words(put: Json, ordered: bool) -> None:
    dynamodb: Any = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    model = dynamodb.meta.service_model.operation_model("PutItem")
    params = OrderedDict(put) if ordered else put
    with_message = refusal(lambda: dynamodb._serializer.serialize_to_request(params, model))
    assert refusal(lambda: copier(model)(params)) == with_message


def test_what_is_handed_on_shares_nothing_with_the_caller() -> None:
    dynamodb = client("dynamodb")
    copy = copier(dynamodb.meta.service_model.operation_model("PutItem"))
    item = {"pk": {"L": [{"M": {"a": {"B": bytearray(b"x")}}}, {"SS": ["s"]}]}}
    copied = copy({"TableName": "things", "Item": item})
    item["pk"]["L"][0]["M"]["a"]["B"].extend(b"yz")  # type: ignore[index]
    item["pk"]["L"].clear()
    assert copied["Item"] == {"pk": {"L": [{"M": {"a": {"B": b"x"}}}, {"SS": ["s"]}]}}


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────


def told(action: Callable[[], Json]) -> Json:
    """Answer or error of a call, without what is different each time."""
    try:
        answer = action()
    except ClientError as error:
        return type(error).__name__, error.operation_name, error.response["Error"]
    except ParamValidationError as error:
        return str(error)
    return {
        name: (type(value), value.tzinfo, value.microsecond % 1000) if hasattr(value, "tzinfo") else value
        for name, value in answer.items()
        if name != "ResponseMetadata"
    } | {"status": answer["ResponseMetadata"]["HTTPStatusCode"]}


def life_of_an_execution(rig: Rig) -> list[Json]:
    client = rig.client
    arn = rig.deploy(machine("A", A={"Type": "Pass", "Output": {"a": 1}, "End": True}))
    failing = rig.deploy(machine("A", A={"Type": "Fail", "Error": "Bad", "Cause": "said so"}))
    started = client.start_execution(stateMachineArn=arn, name="one", input='{"x": 1}')["executionArn"]
    failed = client.start_execution(stateMachineArn=failing, name="two")["executionArn"]
    rig.outcome(started)
    rig.outcome(failed)
    calls: list[Callable[[], Json]] = [
        lambda: client.start_execution(stateMachineArn=arn, name="three"),
        lambda: client.start_execution(stateMachineArn=arn, name="one", input='{"x": 2}'),
        lambda: client.start_execution(stateMachineArn=arn + "x", name="one"),
        lambda: client.start_execution(stateMachineArn=arn, name="no spaces"),
        lambda: client.start_execution(stateMachineArn=arn, name="bad", input="{"),
        lambda: client.start_execution(name="one"),
        lambda: client.describe_execution(executionArn=started),
        lambda: client.describe_execution(executionArn=failed),
        lambda: client.describe_execution(executionArn=started + "x"),
    ]
    return [told(call) for call in calls]


def test_executions_are_started_and_described_as_with_messages() -> None:
    seen = []
    for repairs in (stepfunctions_repairs(), [r for r in stepfunctions_repairs() if r not in SPEED]):
        with running_rig() as rig, installed(repairs):
            seen.append(life_of_an_execution(rig))
    assert seen[0] == seen[1]
    assert [answer["status"] for answer in seen[0] if isinstance(answer, dict)] == [200, 200, 200]


def answers_of_a_bus() -> list[Json]:
    events = client("events")
    good = {"Source": "test", "DetailType": "test", "Detail": "{}"}
    answers = [
        told(lambda: events.put_events(Entries=[good, {**good, "Detail": "{"}, {"Source": "test"}])),
        told(lambda: events.put_events(Entries=[good] * 11)),
        told(lambda: events.put_events(Entries=[])),
    ]
    answers[0]["Entries"][0].pop("EventId")
    return answers


def test_events_are_put_as_with_messages() -> None:
    without_messages = [repair for repair in data_repairs() if repair.name == "eventbridge-direct-calls"]
    seen = []
    for repairs in ((), tuple(without_messages)):
        with moto_with(repairs):
            seen.append(answers_of_a_bus())
    assert seen[0] == seen[1]


def test_hooks_of_a_client_hear_of_calls_without_messages() -> None:
    heard: list[str] = []

    def hear(event_name: str, **_: Any) -> None:
        heard.append(event_name)

    events: Any = boto3.client("events", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    for stage in ("provide-client-params", "before-parameter-build", "after-call"):
        events.meta.events.register(f"{stage}.events", hear)
    with moto_with(data_repairs()), pytest.raises(events.exceptions.ResourceNotFoundException):
        events.put_events(Entries=[{"EventBusName": "none", "Source": "s", "DetailType": "d", "Detail": "{}"}])
    assert heard == [
        f"{stage}.eventbridge.PutEvents" for stage in ("provide-client-params", "before-parameter-build", "after-call")
    ]
