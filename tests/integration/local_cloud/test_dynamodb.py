"""The local DynamoDB behaves as the journal and the ledger rely on."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.dynamodb.models import dynamodb_backends

from infra.local.repairs import dynamodb_speed, dynamodb_values
from tests.integration.local_cloud.data_rig import ACCOUNT, client, data_repairs, make_tables, moto_with

Json = Any


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with moto_with(data_repairs()):
        yield make_tables()


def put(table: str, **attributes: Json) -> Json:
    return {"Put": {"TableName": table, "Item": attributes}}


def thing(name: str) -> Json:
    return {"pk": {"S": "p"}, "sk": {"S": name}}


def never(**more: Json) -> Json:
    check = {"TableName": "things", "Key": thing("nowhere"), "ConditionExpression": "attribute_exists(pk)"}
    return {"ConditionCheck": {**check, **more}}


def reasons(error: Any) -> list[Json]:
    return list(error.value.response["CancellationReasons"])


# ── transactions ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cancelled_transaction_says_for_each_action_why_and_shows_the_item(dynamodb: Any) -> None:
    head = {**thing("head"), "mode": {"S": "PAUSED"}, "blob": {"B": b"\x01\xff"}}
    dynamodb.put_item(TableName="things", Item=head)
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as error:
        dynamodb.transact_write_items(
            TransactItems=[
                put("events", pk={"S": "p"}, n={"N": "1"}),
                {
                    "Update": {
                        "TableName": "things",
                        "Key": thing("head"),
                        "UpdateExpression": "SET seq = :n",
                        "ConditionExpression": "#m = :running",
                        "ExpressionAttributeNames": {"#m": "mode"},
                        "ExpressionAttributeValues": {":n": {"N": "1"}, ":running": {"S": "RUNNING"}},
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
                never(ReturnValuesOnConditionCheckFailure="ALL_OLD"),
            ]
        )
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    assert reasons(error) == [{"Code": "None"}, {**failed, "Item": head}, failed]
    assert dynamodb.scan(TableName="events")["Items"] == []
    assert dynamodb.get_item(TableName="things", Key=thing("head"))["Item"] == head


def test_data_that_an_action_does_not_fit_cancels_the_transaction(dynamodb: Any) -> None:
    update = {"TableName": "things", "Key": thing("a"), "UpdateExpression": "SET x = nothere"}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as error:
        dynamodb.transact_write_items(TransactItems=[put("names", pk={"S": "n"}), {"Update": update}])
    assert [reason["Code"] for reason in reasons(error)] == ["None", "ValidationError"]
    assert dynamodb.scan(TableName="names")["Items"] == []


def test_one_item_twice_in_a_transaction_is_refused(dynamodb: Any) -> None:
    with pytest.raises(ClientError, match="multiple operations on one item"):
        dynamodb.transact_write_items(
            TransactItems=[put("events", pk={"S": "p"}, n={"N": "1"}), put("events", pk={"S": "p"}, n={"N": "1.0"})]
        )


def test_a_repeated_client_token_does_nothing_twice(dynamodb: Any) -> None:
    count = {
        "Update": {
            "TableName": "names",
            "Key": {"pk": {"S": "n"}},
            "UpdateExpression": "ADD times :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
    for _ in range(3):
        dynamodb.transact_write_items(TransactItems=[count], ClientRequestToken="the-same-token")
    dynamodb.transact_write_items(TransactItems=[count], ClientRequestToken="another-token")
    assert dynamodb.get_item(TableName="names", Key={"pk": {"S": "n"}})["Item"]["times"] == {"N": "2"}
    with pytest.raises(dynamodb.exceptions.IdempotentParameterMismatchException):
        dynamodb.transact_write_items(
            TransactItems=[put("names", pk={"S": "other"})], ClientRequestToken="the-same-token"
        )


def test_a_token_of_a_cancelled_transaction_may_be_used_again(dynamodb: Any) -> None:
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
        dynamodb.transact_write_items(TransactItems=[never()], ClientRequestToken="a-token")
    dynamodb.put_item(TableName="things", Item=thing("nowhere"))
    dynamodb.transact_write_items(TransactItems=[never()], ClientRequestToken="a-token")


def test_of_many_threads_each_sequence_number_goes_to_one(dynamodb: Any) -> None:
    """The journal's append under contention: gapless numbers, and both tables always agree."""
    dynamodb.put_item(TableName="things", Item={**thing("head"), "seq": {"N": "0"}})

    def append(times: int) -> None:
        while times:
            seq = int(dynamodb.get_item(TableName="things", Key=thing("head"))["Item"]["seq"]["N"])
            move = {
                "TableName": "things",
                "Key": thing("head"),
                "UpdateExpression": "SET seq = :next",
                "ConditionExpression": "seq = :seen",
                "ExpressionAttributeValues": {":next": {"N": str(seq + 1)}, ":seen": {"N": str(seq)}},
            }
            event = {"TableName": "events", "Item": {"pk": {"S": "p"}, "n": {"N": str(seq + 1)}}}
            event["ConditionExpression"] = "attribute_not_exists(pk)"
            try:
                dynamodb.transact_write_items(TransactItems=[{"Put": event}, {"Update": move}])
                times -= 1
            except dynamodb.exceptions.TransactionCanceledException as error:
                codes = {reason["Code"] for reason in error.response["CancellationReasons"]}
                assert codes <= {"None", "ConditionalCheckFailed"}

    threads = [threading.Thread(target=append, args=(5,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = dynamodb.query(
        TableName="events", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "p"}}
    )["Items"]
    assert [int(item["n"]["N"]) for item in found] == list(range(1, 101))
    assert dynamodb.get_item(TableName="things", Key=thing("head"))["Item"]["seq"] == {"N": "100"}


def test_a_cancelled_transaction_leaves_what_other_threads_write_alone(dynamodb: Any) -> None:
    done = threading.Event()

    def cancel_all_the_time() -> None:
        while not done.is_set():
            with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
                dynamodb.transact_write_items(TransactItems=[put("events", pk={"S": "x"}, n={"N": "1"}), never()])

    canceller = threading.Thread(target=cancel_all_the_time)
    canceller.start()
    for number in range(200):
        dynamodb.put_item(TableName="events", Item={"pk": {"S": "p"}, "n": {"N": str(number)}})
    done.set()
    canceller.join()
    assert dynamodb.scan(TableName="events", Select="COUNT")["Count"] == 200


# ── single items ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "expression",
    [
        "SET a = :new, b = nothere",
        "SET a = :new ADD word :new",
        "SET a = :new DELETE word :new",
        "SET a = :new, d.x = :new",
    ],
)
def test_a_refused_update_changes_nothing(dynamodb: Any, expression: str) -> None:
    item = {**thing("a"), "a": {"N": "1"}, "word": {"S": "w"}}
    dynamodb.put_item(TableName="things", Item=item)
    with pytest.raises(ClientError, match=r"attribute that does not exist|operand|document path"):
        dynamodb.update_item(
            TableName="things",
            Key=thing("a"),
            UpdateExpression=expression,
            ExpressionAttributeValues={":new": {"N": "2"}},
        )
    assert dynamodb.get_item(TableName="things", Key=thing("a"))["Item"] == item


def test_a_refused_update_inserts_nothing(dynamodb: Any) -> None:
    with pytest.raises(ClientError, match="does not exist in the item"):
        dynamodb.update_item(TableName="things", Key=thing("a"), UpdateExpression="SET x = nothere")
    assert dynamodb.scan(TableName="things")["Items"] == []


def test_a_failed_condition_shows_the_item_when_asked(dynamodb: Any) -> None:
    item = {**thing("a"), "x": {"B": b"\xff"}}
    dynamodb.put_item(TableName="things", Item=item)
    asked = {
        "TableName": "things",
        "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    calls: tuple[Callable[[], Json], ...] = (
        lambda: dynamodb.put_item(Item=thing("a"), **asked),
        lambda: dynamodb.delete_item(Key=thing("a"), **asked),
        lambda: dynamodb.update_item(Key=thing("a"), UpdateExpression="REMOVE x", **asked),
    )
    for call in calls:
        with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as error:
            call()
        assert error.value.response["Item"] == item


def put_large(dynamodb: Any, large: Json) -> None:
    dynamodb.put_item(TableName="things", Item={**thing("a"), "x": large})


def update_large(dynamodb: Any, large: Json) -> None:
    changed = {"UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": large}}
    dynamodb.update_item(TableName="things", Key=thing("a"), **changed)


def transact_large(dynamodb: Any, large: Json) -> None:
    dynamodb.transact_write_items(TransactItems=[put("things", **thing("a"), x=large)])


@pytest.mark.parametrize("write", [put_large, update_large, transact_large])
def test_an_item_over_400_kilobytes_is_refused(dynamodb: Any, write: Callable[[Any, Json], None]) -> None:
    with pytest.raises(ClientError) as error:
        write(dynamodb, {"S": "x" * 409_600})
    assert "exceeded the maximum allowed size" in str(error.value.response)
    assert dynamodb.scan(TableName="things")["Items"] == []


def test_the_caller_may_change_its_arguments_afterwards(dynamodb: Any) -> None:
    tags = ["a", "b"]
    item = {**thing("a"), "tags": {"SS": tags}, "map": {"M": {"x": {"S": "1"}}}}
    dynamodb.put_item(TableName="things", Item=item)
    tags.append("c")
    item["map"]["M"]["x"]["S"] = "2"
    answer = dynamodb.get_item(TableName="things", Key=thing("a"))["Item"]
    assert (sorted(answer["tags"]["SS"]), answer["map"]) == (["a", "b"], {"M": {"x": {"S": "1"}}})
    answer["map"]["M"]["x"]["S"] = "3"
    assert dynamodb.get_item(TableName="things", Key=thing("a"))["Item"]["map"] == {"M": {"x": {"S": "1"}}}


def test_reading_what_is_not_there_leaves_no_trace(dynamodb: Any) -> None:
    table = dynamodb_backends[ACCOUNT]["us-east-1"].tables["things"]
    assert "Item" not in dynamodb.get_item(TableName="things", Key=thing("a"))
    assert not table.items


# ── indexes and pages ───────────────────────────────────────────────────────────────────────────────────────


def test_an_index_of_keys_answers_with_keys_in_its_own_order_page_by_page(dynamodb: Any) -> None:
    for number in range(7):
        keys = {**thing(f"{number}"), "owner": {"S": "me"}, "since": {"S": f"{9 - number}"}}
        dynamodb.put_item(TableName="things", Item={**keys, "large": {"S": "x"}})
    dynamodb.put_item(TableName="things", Item={**thing("other"), "owner": {"S": "you"}, "since": {"S": "0"}})
    dynamodb.put_item(TableName="things", Item={**thing("no index key"), "owner": {"S": "me"}})
    asked = {
        "TableName": "things",
        "IndexName": "by_owner",
        "KeyConditionExpression": "#o = :me",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {":me": {"S": "me"}},
    }
    pages = list(dynamodb.get_paginator("query").paginate(**asked, PaginationConfig={"PageSize": 3}))
    assert [page["Count"] for page in pages] == [3, 3, 1]
    items = [item for page in pages for item in page["Items"]]
    assert [item["sk"]["S"] for item in items] == list("6543210")
    assert all(set(item) == {"pk", "sk", "owner", "since"} for item in items)
    latest = dynamodb.query(**asked, ScanIndexForward=False, Limit=1)["Items"]
    assert [item["sk"]["S"] for item in latest] == ["0"]


def test_a_query_sorts_numbers_as_numbers_and_keeps_to_its_partition(dynamodb: Any) -> None:
    for partition in "pq":
        for number in ("10", "9", "-1", "2.5"):
            dynamodb.put_item(TableName="events", Item={"pk": {"S": partition}, "n": {"N": number}})
    values = {":p": {"S": "p"}, ":low": {"N": "0"}}
    found = dynamodb.query(
        TableName="events", KeyConditionExpression="pk = :p AND n > :low", ExpressionAttributeValues=values
    )["Items"]
    assert [item["n"]["N"] for item in found] == ["2.5", "9", "10"]


# ── the quick way answers as the long way ───────────────────────────────────────────────────────────────────

values = st.one_of(
    st.integers(-5, 5).map(lambda value: {"N": str(value)}),
    st.sampled_from(["", "x", "é"]).map(lambda value: {"S": value}),
    st.binary(min_size=1, max_size=3).map(lambda value: {"B": value}),
    st.just({"M": {"b": {"B": b"\x00"}, "l": {"L": [{"NULL": True}]}}}),
    st.just({"SS": ["a", "b"]}),
)
updates = st.sampled_from(
    [
        "SET a = :v",
        "SET a = :v, b = a",
        "SET a = a + :v",
        "SET a = if_not_exists(b, :v) REMOVE b",
        "SET a = b, b = a",
        "SET a = a - :v REMOVE c",
        "SET pk = :v",
        "SET size = :v",
        "SET a = :v SET b = :v",
        "SET a = :v, a = :v",
        "SET a = :v, since = :v",
        "SET a = :undefined",
        "SET a.b = :v",
        "ADD a :v",
        "REMOVE a",
        "nonsense",
    ]
)
conditions = st.sampled_from(
    [
        None,
        "attribute_exists(a)",
        "a = :v OR attribute_not_exists(b)",
        "a IN (:v) AND NOT b < :v",
        "size(a) > :v",
        "a =",
    ]
)
steps = st.one_of(
    st.tuples(st.just("put"), values, conditions),
    st.tuples(st.just("update"), updates, st.tuples(values, conditions)),
    st.tuples(st.just("transact"), updates, st.tuples(values, conditions)),
    st.tuples(st.just("delete"), st.none(), conditions),
    st.tuples(st.just("read"), st.none(), st.none()),
)


def with_values(call: Json, value: Json, condition: str | None, expression: str = "") -> Json:
    if condition:
        call["ConditionExpression"] = condition
    if ":v" in expression + (condition or ""):
        call["ExpressionAttributeValues"] = {":v": value}
    return call


def carry_out(dynamodb: Any, step: Json) -> Json:
    """The answer or error of a step, without what differs from call to call."""
    kind, first, second = step
    base: Json = {"TableName": "things", "Key": thing("a")}
    try:
        if kind == "put":
            call = with_values({"TableName": "things", "Item": {**thing("a"), "b": first}}, first, second)
            answer = dynamodb.put_item(**call, ReturnValues="ALL_OLD", ReturnConsumedCapacity="INDEXES")
        elif kind == "delete":
            call = with_values(base, {"N": "1"}, second)
            answer = dynamodb.delete_item(**call, ReturnValues="ALL_OLD", ReturnConsumedCapacity="TOTAL")
        elif kind == "read":
            answer = dynamodb.scan(TableName="things", ReturnConsumedCapacity="TOTAL")
        else:
            value, condition = second
            call = with_values({**base, "UpdateExpression": first}, value, condition, first)
            call["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            if kind == "update":
                answer = dynamodb.update_item(**call, ReturnValues="ALL_NEW", ReturnConsumedCapacity="TOTAL")
            else:
                answer = dynamodb.transact_write_items(TransactItems=[{"Update": call}], ReturnConsumedCapacity="TOTAL")
    except ClientError as error:
        return {**error.response, "ResponseMetadata": error.response["ResponseMetadata"]["HTTPStatusCode"]}
    except (ValueError, KeyError, AttributeError, TypeError) as crash:  # moto's own, the same in both ways
        return type(crash).__name__
    return {**answer, "ResponseMetadata": answer["ResponseMetadata"]["HTTPStatusCode"]}


SPEED = (*dynamodb_speed.REPAIRS, *dynamodb_values.REPAIRS)


def pages(dynamodb: Any, query: Json) -> Json:
    """All pages of a query, each with what it says about itself."""
    found: list[Json] = []
    start: Json = {}
    while True:
        answer = dynamodb.query(**query, **start, ReturnConsumedCapacity="TOTAL")
        found.append({name: answer.get(name) for name in ("Items", "Count", "ScannedCount", "LastEvaluatedKey")})
        if "LastEvaluatedKey" not in answer:
            return found
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def answers_to_queries(dynamodb: Any) -> Json:
    for number in (10, 9, -1, 2.5, 100):
        for partition in ("p", "q"):
            dynamodb.put_item(TableName="events", Item={"pk": {"S": partition}, "n": {"N": str(number)}})
            name = {"sk": {"S": f"STEP#{number}"}, "since": {"S": str(number)}, "x": {"L": [{"N": "1"}, {"M": {}}]}}
            dynamodb.put_item(TableName="things", Item={"pk": {"S": partition}, "owner": {"S": "o"}, **name})
    dynamodb.put_item(TableName="things", Item={**thing("HEAD"), "b": {"B": b"\x00"}})
    values = {":p": {"S": "p"}, ":n": {"N": "9"}, ":m": {"N": "50"}}
    texts = {":p": {"S": "p"}, ":s": {"S": "STEP#"}}
    asked: list[Json] = [
        *(
            {"TableName": "events", "KeyConditionExpression": f"pk = :p{rest}", **forward, **limit}
            for rest in ("", " AND n > :n", " AND n <= :n", " AND n BETWEEN :n AND :m", " AND n = :n")
            for forward in ({}, {"ScanIndexForward": False})
            for limit in ({}, {"Limit": 2})
        ),
        {"TableName": "things", "KeyConditionExpression": "pk = :p AND begins_with(sk, :s)"},
        {"TableName": "things", "KeyConditionExpression": "pk = :p AND sk < :s", "ProjectionExpression": "b"},
        {
            "TableName": "things",
            "IndexName": "by_owner",
            "KeyConditionExpression": "#o = :o AND since > :s",
            "Limit": 3,
        },
    ]
    found = []
    for query in asked:
        expression = query["KeyConditionExpression"] + query.get("IndexName", "")
        if "by_owner" in expression:
            given = {":o": {"S": "o"}, ":s": {"S": "1"}}
            query["ExpressionAttributeNames"] = {"#o": "owner"}
        else:
            given = {name: value for name, value in {**values, **texts}.items() if name in expression}
        found.append(pages(dynamodb, {**query, "ExpressionAttributeValues": given}))
    return found


def test_quick_queries_answer_as_moto_does() -> None:
    seen = []
    for repairs in (tuple(repair for repair in data_repairs() if repair not in SPEED), data_repairs()):
        with moto_with(repairs):
            seen.append(answers_to_queries(make_tables(stream=None)))
    assert seen[0] == seen[1]
    assert [item["n"]["N"] for item in seen[1][0][0]["Items"]] == ["-1", "2.5", "9", "10", "100"]
    assert len(seen[1][-1]) > 1


@settings(max_examples=60)
@given(st.lists(steps, min_size=1, max_size=6))
def test_direct_calls_and_plans_answer_as_http_and_moto_do(sequence: list[Json]) -> None:
    slow = tuple(repair for repair in data_repairs() if repair not in SPEED)
    answers = []
    for repairs in (slow, data_repairs()):
        with moto_with(repairs):
            dynamodb = make_tables(stream=None)
            answers.append([carry_out(dynamodb, step) for step in [*sequence, ("read", None, None)]])
    assert answers[0] == answers[1]


def test_direct_calls_leave_other_endpoints_alone(dynamodb: Any) -> None:
    elsewhere = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"max_attempts": 0}, connect_timeout=1),
    )
    dynamodb.put_item(TableName="names", Item={"pk": {"S": "here"}})
    with pytest.raises(Exception, match="Could not connect"):
        elsewhere.get_item(TableName="names", Key={"pk": {"S": "here"}})


def test_clients_stay_usable_after_the_repairs_are_gone() -> None:
    with moto_with(data_repairs()):
        make_tables()
    with moto_with(()):
        dynamodb = make_tables()
        dynamodb.put_item(TableName="names", Item={"pk": {"S": "a"}})
        assert client("dynamodb").scan(TableName="names")["Count"] == 1


# ── consumed capacity ───────────────────────────────────────────────────────────────────────────────────────


def of(size: int) -> Json:
    """An attribute that makes a ``things`` item ``a`` (6 bytes of keys) so many bytes large."""
    return {"x": {"S": "y" * (size - 7)}}


def units(answer: Json) -> Json:
    consumed = answer["ConsumedCapacity"]
    if isinstance(consumed, list):
        return {table["TableName"]: table["CapacityUnits"] for table in consumed}
    return consumed["CapacityUnits"]


@pytest.mark.parametrize(("size", "written", "read"), [(1024, 1, 1), (1025, 2, 1), (4096, 4, 1), (4097, 5, 2)])
def test_units_follow_the_size_of_the_item(dynamodb: Any, size: int, written: int, read: int) -> None:
    total = {"TableName": "things", "ReturnConsumedCapacity": "TOTAL"}
    assert units(dynamodb.put_item(Item={**thing("a"), **of(size)}, **total)) == written
    assert units(dynamodb.get_item(Key=thing("a"), ConsistentRead=True, **total)) == read
    assert units(dynamodb.get_item(Key=thing("a"), **total)) == read / 2
    assert units(dynamodb.put_item(Item=thing("a"), **total)) == written, "the larger of before and after counts"
    assert units(dynamodb.delete_item(Key=thing("a"), **total)) == 1
    assert units(dynamodb.delete_item(Key=thing("a"), **total)) == 1, "what is not there costs one"


def test_transactions_cost_twice_and_say_so_for_each_table(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="things", Item={**thing("checked"), **of(1500)})
    check = {"TableName": "things", "Key": thing("checked"), "ConditionExpression": "attribute_exists(pk)"}
    written = dynamodb.transact_write_items(
        TransactItems=[put("things", **thing("a"), **of(1500)), {"ConditionCheck": check}, put("names", pk={"S": "n"})],
        ReturnConsumedCapacity="TOTAL",
    )
    assert units(written) == {"things": 2 * 2 + 2, "names": 2}
    gets = [{"Get": {"TableName": "things", "Key": thing(name)}} for name in ("a", "nowhere")]
    assert units(dynamodb.transact_get_items(TransactItems=gets, ReturnConsumedCapacity="TOTAL")) == {"things": 4}


def test_index_entries_are_paid_for_when_they_change(dynamodb: Any) -> None:
    indexed = {**thing("a"), "owner": {"S": "me"}, "since": {"S": "1"}}
    asked = {"TableName": "things", "ReturnConsumedCapacity": "INDEXES"}

    def split(answer: Json) -> tuple[float, float]:
        consumed = answer["ConsumedCapacity"]
        index = consumed.get("GlobalSecondaryIndexes", {}).get("by_owner", {}).get("CapacityUnits", 0)
        assert consumed["CapacityUnits"] == consumed["Table"]["CapacityUnits"] + index
        return consumed["Table"]["CapacityUnits"], index

    assert split(dynamodb.put_item(Item=indexed, **asked)) == (1, 1)
    assert split(dynamodb.put_item(Item={**indexed, **of(100)}, **asked)) == (1, 0), "no key changed"
    assert split(dynamodb.put_item(Item={**indexed, "since": {"S": "2"}}, **asked)) == (1, 2), "one out, one in"
    assert split(dynamodb.delete_item(Key=thing("a"), **asked)) == (1, 1)


def test_queries_and_batches_add_up(dynamodb: Any) -> None:
    for name in "abc":
        dynamodb.put_item(TableName="things", Item={**thing(name), **of(1500)})
    total = {"ReturnConsumedCapacity": "TOTAL"}
    asked = {
        "TableName": "things",
        "KeyConditionExpression": "pk = :p",
        "FilterExpression": "sk = :a",
        "ExpressionAttributeValues": {":p": {"S": "p"}, ":a": {"S": "a"}},
    }
    assert units(dynamodb.query(**asked, **total, ConsistentRead=True)) == 2, "4500 bytes read, filtered or not"
    keys = {"things": {"Keys": [thing(name) for name in "abc"], "ConsistentRead": True}}
    assert units(dynamodb.batch_get_item(RequestItems=keys, **total)) == {"things": 3}, "each item rounds up by itself"
    writes = {
        "things": [{"PutRequest": {"Item": {**thing("d"), **of(1500)}}}, {"DeleteRequest": {"Key": thing("a")}}],
        "names": [{"PutRequest": {"Item": {"pk": {"S": "n"}}}}],
    }
    assert units(dynamodb.batch_write_item(RequestItems=writes, **total)) == {"things": 4, "names": 1}


def test_nothing_is_reported_unasked(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="names", Item={"pk": {"S": "n"}})
    keys = {"names": {"Keys": [{"pk": {"S": "n"}}]}}
    assert "ConsumedCapacity" not in dynamodb.batch_get_item(RequestItems=keys)
    assert "ConsumedCapacity" not in dynamodb.transact_write_items(TransactItems=[put("names", pk={"S": "n"})])
