"""Looks at one behaviour per repair of DynamoDB and EventBridge; prints as JSON what each probe saw.

``python -m tests.integration.local_cloud.data_probes without`` leaves out, for each probe, the repair it is named
after; ``with`` leaves out none. Errors of a probe are observations too, because a defect may well be a crash.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError
from moto.core.botocore_stubber import BotocoreStubber
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.validators import UpdateExpressionValidator
from moto.events.models import Rule

from infra.local.deliveries import Deliveries
from infra.local.repairs.stepfunctions_patching import replace
from tests.integration.local_cloud.data_rig import (
    ACCOUNT,
    client,
    data_repairs,
    functions_in_process,
    make_tables,
    moto_with,
)

Probe = Callable[[Any], Any]
PROBES: dict[str, tuple[Probe, Any]] = {}
HEAD = {"pk": {"S": "p"}, "sk": {"S": "head"}}


def probe(repair: str, expected: Any) -> Callable[[Probe], Probe]:
    """Register what is seen when the repair is in place."""

    def register(function: Probe) -> Probe:
        PROBES[repair] = (function, expected)
        return function

    return register


@contextmanager
def answers_of(owner: Any, name: str) -> Iterator[list[Any]]:
    """Everything that a function returns while the block runs."""
    original = getattr(owner, name)
    answers: list[Any] = []

    def noting(*arguments: Any, **options: Any) -> Any:
        answers.append(original(*arguments, **options))
        return answers[-1]

    undo = replace((owner, name, noting))
    try:
        yield answers
    finally:
        undo()


@probe("dynamodb-operations", {"refused": "ValidationException", "left behind": 0})
def a_batch_refused_at_its_second_item(dynamodb: Any) -> Any:
    wrong_key = {"pk": {"S": "p"}, "n": {"S": "not a number"}}
    puts = {"names": {"pk": {"S": "first"}}, "events": wrong_key}
    refused = None
    try:
        dynamodb.batch_write_item(
            RequestItems={table: [{"PutRequest": {"Item": item}}] for table, item in puts.items()}
        )
    except ClientError as error:
        refused = error.response["Error"]["Code"]
    return {"refused": refused, "left behind": dynamodb.scan(TableName="names")["Count"]}


@probe("dynamodb-reads-leave-no-trace", 0)
def partitions_after_reading_nothing(dynamodb: Any) -> Any:
    dynamodb.get_item(TableName="things", Key=HEAD)
    return len(dynamodb_backends[ACCOUNT]["us-east-1"].tables["things"].items)


@probe("dynamodb-updates-on-a-copy", {"N": "1"})
def an_attribute_after_a_refused_update(dynamodb: Any) -> Any:
    dynamodb.put_item(TableName="things", Item={**HEAD, "a": {"N": "1"}, "word": {"S": "w"}})
    with suppress(ClientError):
        dynamodb.update_item(
            TableName="things",
            Key=HEAD,
            UpdateExpression="SET a = :new ADD word :new",
            ExpressionAttributeValues={":new": {"N": "2"}},
        )
    return dynamodb.get_item(TableName="things", Key=HEAD)["Item"]["a"]


@probe("dynamodb-transactions", True)
def the_table_is_the_same_after_a_cancelled_transaction(dynamodb: Any) -> Any:
    tables = dynamodb_backends[ACCOUNT]["us-east-1"].tables
    before = tables["things"]
    check = {"TableName": "things", "Key": HEAD, "ConditionExpression": "attribute_exists(pk)"}
    with suppress(ClientError):
        dynamodb.transact_write_items(TransactItems=[{"ConditionCheck": check}])
    return tables["things"] is before


@probe("dynamodb-client-tokens", {"N": "1"})
def a_count_after_the_same_transaction_twice(dynamodb: Any) -> Any:
    one = {"UpdateExpression": "ADD times :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    for _ in range(2):
        dynamodb.transact_write_items(
            TransactItems=[{"Update": {"TableName": "things", "Key": HEAD, **one}}], ClientRequestToken="same"
        )
    return dynamodb.get_item(TableName="things", Key=HEAD)["Item"]["times"]


@probe("dynamodb-capacity", [3.0, [6.0]])
def units_of_three_kilobytes(dynamodb: Any) -> Any:
    item = {**HEAD, "x": {"S": "y" * 3000}}
    alone = dynamodb.put_item(TableName="things", Item=item, ReturnConsumedCapacity="TOTAL")
    together = dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": "things", "Item": item}}], ReturnConsumedCapacity="TOTAL"
    )
    return [
        alone["ConsumedCapacity"]["CapacityUnits"],
        [table["CapacityUnits"] for table in together["ConsumedCapacity"]],
    ]


@probe("dynamodb-direct-calls", 0)
def http_messages_for_a_read(dynamodb: Any) -> Any:
    with answers_of(BotocoreStubber, "process_request") as messages:
        dynamodb.get_item(TableName="things", Key=HEAD)
        return len(messages)


@probe("eventbridge-direct-calls", 0)
def http_messages_for_an_event(_: Any) -> Any:
    entry = {"Source": "probe", "DetailType": "probe", "Detail": "{}"}
    events = client("events")
    with answers_of(BotocoreStubber, "process_request") as messages:
        events.put_events(Entries=[entry])
        return len(messages)


@probe("dynamodb-quick-values", 0)
def questions_whether_a_text_is_a_map(dynamodb: Any) -> Any:
    with answers_of(DynamoType, "is_map") as asked:
        dynamodb.put_item(TableName="things", Item=HEAD)
        dynamodb.get_item(TableName="things", Key=HEAD)
        return len(asked)


@probe("eventbridge-unheard-events", 0)
def events_offered_to_rules_about_other_things(_: Any) -> Any:
    events = client("events")
    events.put_rule(Name="other", EventPattern=json.dumps({"detail-type": ["other"]}))
    with answers_of(Rule, "send_to_targets") as offered:
        events.put_events(Entries=[{"Source": "probe", "DetailType": "probe", "Detail": "{}"}])
        return len(offered)


@probe("dynamodb-parse-once", 1)
def readings_of_one_condition(dynamodb: Any) -> Any:
    with answers_of(ConditionExpressionParser, "_lex_condition_expression") as readings:
        for number in range(3):
            dynamodb.put_item(
                TableName="things",
                Item=HEAD,
                ConditionExpression="attribute_not_exists(pk) OR probed <> :n",
                ExpressionAttributeValues={":n": {"N": str(number)}},
            )
        return len(readings)


@probe("dynamodb-update-plans", 0)
def tree_walks_of_a_simple_update(dynamodb: Any) -> Any:
    with answers_of(UpdateExpressionValidator, "validate") as walks:
        dynamodb.update_item(
            TableName="things",
            Key=HEAD,
            UpdateExpression="SET probed = :n",
            ExpressionAttributeValues={":n": {"N": "1"}},
        )
        return len(walks)


@probe("dynamodb-size-once", True)
def attributes_are_not_measured_again_and_again(dynamodb: Any) -> Any:
    with answers_of(DynamoType, "size") as measured:
        dynamodb.put_item(TableName="things", Item={**HEAD, **{f"a{n}": {"S": "x"} for n in range(10)}})
        return len(measured) < 10


@probe("dynamodb-partition-queries", 1)
def items_looked_at_by_a_query_of_a_small_partition(dynamodb: Any) -> Any:
    for number in range(20):
        dynamodb.put_item(TableName="events", Item={"pk": {"S": f"p{number}"}, "n": {"N": "1"}})
    with answers_of(Table, "all_items") as looked_at:
        dynamodb.query(
            TableName="events", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "p7"}}
        )
        return max(len(items) for items in looked_at)


@probe("eventbridge-targets", {"on": [{"v": 1}], "off": [], "timed": []})
def events_that_functions_get(_dynamodb: Any) -> Any:
    events = client("events")
    with functions_in_process() as functions:
        rules = {
            "on": {"EventPattern": '{"source": ["probe"]}'},
            "off": {"EventPattern": '{"source": ["probe"]}', "State": "DISABLED"},
            "timed": {"ScheduleExpression": "rate(1 day)"},
        }
        receivers = {name: functions.make(name) for name in rules}
        for name, rule in rules.items():
            events.put_rule(Name=name, **rule)
            target = {"Id": "1", "Arn": receivers[name].arn, "InputPath": "$.detail"}
            events.put_targets(Rule=name, Targets=[target])
        deliveries = Deliveries(time_scale=1.0)
        deliveries.start()
        try:
            events.put_events(Entries=[{"Source": "probe", "DetailType": "d", "Detail": '{"v": 1}'}])
            deliveries.drain()
        finally:
            deliveries.stop()
        return {name: receiver.events for name, receiver in receivers.items()}


def observe(name: str, without: str | None) -> Any:
    """What the probe sees, with one repair left out if one is named."""
    with moto_with(tuple(repair for repair in data_repairs() if repair.name != without)):
        try:
            return PROBES[name][0](make_tables(stream=None))
        except Exception as error:  # a crash is an observation
            return type(error).__name__


def main(mode: str) -> None:
    sys.stdout.write(json.dumps({name: observe(name, name if mode == "without" else None) for name in PROBES}))


if __name__ == "__main__":
    main(sys.argv[1])
