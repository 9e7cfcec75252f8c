"""Changes of tables reach functions: in batches, in order, at least once, and never at the writer's expense."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.local.deliveries import Deliveries
from infra.local.durability import Durability
from tests.integration.local_cloud.data_rig import (
    Functions,
    Queue,
    Receiver,
    client,
    data_repairs,
    functions_in_process,
    make_tables,
    map_stream,
    moto_with,
)

FAST = 0.02


@pytest.fixture
def functions() -> Iterator[Functions]:
    with moto_with(data_repairs()), functions_in_process() as made:
        yield made


@pytest.fixture
def dynamodb(functions: Functions) -> Any:
    return make_tables(stream="NEW_AND_OLD_IMAGES")


@contextmanager
def delivering(durability: Durability | None = None) -> Iterator[Deliveries]:
    deliveries = Deliveries(durability, time_scale=FAST)
    deliveries.start()
    try:
        yield deliveries
    finally:
        deliveries.stop()


def write(dynamodb: Any, *keys: str, n: int = 1) -> None:
    for key in keys:
        dynamodb.put_item(TableName="events", Item={"pk": {"S": key}, "n": {"N": str(n)}})


def poisoned_by(key: str) -> Any:
    def behave(event: Any) -> None:
        if any(record["dynamodb"]["Keys"]["pk"]["S"] == key for record in event["Records"]):
            raise RuntimeError(f"cannot take {key}")

    return behave


def sequence_numbers(event: Any) -> list[str]:
    return [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]


def test_records_look_as_lambda_receives_them(functions: Functions, dynamodb: Any) -> None:
    taker = functions.make("taker")
    map_stream(taker)
    key = {"pk": {"S": "a"}, "n": {"N": "1"}}
    with delivering() as deliveries:
        dynamodb.put_item(TableName="events", Item={**key, "blob": {"M": {"b": {"B": b"\x00\xff"}}}})
        dynamodb.update_item(
            TableName="events", Key=key, UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": {"S": "new"}}
        )
        dynamodb.delete_item(TableName="events", Key=key)
        assert deliveries.drain()
    records = [record for event in taker.events for record in event["Records"]]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    inserted, modified, removed = (record["dynamodb"] for record in records)
    assert inserted["Keys"] == key
    assert inserted["NewImage"] == {**key, "blob": {"M": {"b": {"B": "AP8="}}}}
    assert "OldImage" not in inserted
    assert "x" not in modified["OldImage"]
    assert modified["NewImage"]["x"] == {"S": "new"}
    assert "NewImage" not in removed
    numbers = [int(part["SequenceNumber"]) for part in (inserted, modified, removed)]
    assert numbers == sorted(set(numbers))
    assert all(record["eventSourceARN"].startswith("arn:aws:dynamodb:us-east-1:") for record in records)


def test_an_update_that_inserts_is_one_insert_and_one_without_change_is_none(
    functions: Functions, dynamodb: Any
) -> None:
    taker = functions.make("taker")
    map_stream(taker)
    with delivering() as deliveries:
        for _ in range(2):
            dynamodb.update_item(
                TableName="events",
                Key={"pk": {"S": "a"}, "n": {"N": "1"}},
                UpdateExpression="SET x = :x",
                ExpressionAttributeValues={":x": {"S": "same"}},
            )
        assert deliveries.drain()
    (record,) = [record for event in taker.events for record in event["Records"]]
    assert record["eventName"] == "INSERT"
    assert record["dynamodb"]["NewImage"]["x"] == {"S": "same"}


def test_the_writer_does_not_wait_for_the_consumer(functions: Functions, dynamodb: Any) -> None:
    taker, may_go_on = functions.make("taker"), threading.Event()
    taker.behave = lambda event: may_go_on.wait(10) and None
    map_stream(taker)
    with delivering() as deliveries:
        write(dynamodb, "a", "b")
        assert not deliveries.drain(timeout=0.05), "the function still holds the first record"
        may_go_on.set()
        assert deliveries.drain()


def test_a_batch_holds_at_most_batch_size_records(functions: Functions, dynamodb: Any) -> None:
    taker, first_seen, may_go_on = functions.make("taker"), threading.Event(), threading.Event()

    def behave(event: Any) -> None:
        first_seen.set()
        may_go_on.wait(10)

    taker.behave = behave
    map_stream(taker, BatchSize=3)
    with delivering() as deliveries:
        write(dynamodb, "first")
        assert first_seen.wait(10)
        write(dynamodb, *"abcdefg")
        may_go_on.set()
        assert deliveries.drain()
    assert taker.batches == [["first"], ["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_the_batching_window_gathers_records(functions: Functions, dynamodb: Any) -> None:
    taker = functions.make("taker")
    map_stream(taker, BatchSize=5, MaximumBatchingWindowInSeconds=300)
    with delivering() as deliveries:
        write(dynamodb, *"abcde")
        assert deliveries.drain()
    assert taker.batches == [list("abcde")]


def test_records_with_the_same_key_stay_in_order_over_parallel_lanes(functions: Functions, dynamodb: Any) -> None:
    taker = functions.make("taker")
    map_stream(taker, BatchSize=4, ParallelizationFactor=4)
    with delivering() as deliveries:
        for n in range(12):
            write(dynamodb, "a", "b", "c", n=n)
        assert deliveries.drain()
    seen: dict[str, list[int]] = {}
    for event in taker.events:
        for record in event["Records"]:
            keys = record["dynamodb"]["Keys"]
            seen.setdefault(keys["pk"]["S"], []).append(int(keys["n"]["N"]))
    assert seen == {key: list(range(12)) for key in "abc"}


def test_a_poison_record_is_isolated_reported_and_holds_nobody_else_back(functions: Functions, dynamodb: Any) -> None:
    taker, failures = functions.make("taker"), Queue("failures")
    taker.behave = poisoned_by("poison")
    map_stream(
        taker,
        BatchSize=8,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=2,
        DestinationConfig={"OnFailure": {"Destination": failures.arn}},
    )
    write(dynamodb, "a", "b", "poison", "c", "d")
    with delivering() as deliveries:
        assert deliveries.drain()
        write(dynamodb, "later")
        assert deliveries.drain()
    taken = [key for batch in taker.batches if "poison" not in batch for key in batch]
    assert taken == ["a", "b", "c", "d", "later"]
    assert taker.batches.count(["poison"]) == 3, "once and two retries"
    (message,) = failures.take()
    report = json.loads(message["body"])
    assert report["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert report["requestContext"]["approximateInvokeCount"] == 3
    assert report["DDBStreamBatchInfo"]["batchSize"] == 1
    poison = next(event for event in taker.events if len(event["Records"]) == 1 and poisons(event))
    assert [report["DDBStreamBatchInfo"]["startSequenceNumber"]] == sequence_numbers(poison)


def poisons(event: Any) -> bool:
    return any(record["dynamodb"]["Keys"]["pk"]["S"] == "poison" for record in event["Records"])


def test_without_bisection_the_whole_batch_is_given_up(functions: Functions, dynamodb: Any) -> None:
    taker, failures = functions.make("taker"), Queue("failures")
    taker.behave = poisoned_by("poison")
    map_stream(taker, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": failures.arn}})
    write(dynamodb, "a", "poison")
    with delivering() as deliveries:
        assert deliveries.drain()
    assert taker.batches == [["a", "poison"]]
    assert [json.loads(message["body"])["DDBStreamBatchInfo"]["batchSize"] for message in failures.take()] == [2]


def test_partial_batch_responses_retry_from_the_first_failure_on(functions: Functions, dynamodb: Any) -> None:
    taker = functions.make("taker")
    answers = iter([2, None])

    def behave(event: Any) -> Any:
        failed = next(answers)
        numbers = sequence_numbers(event)
        return {"batchItemFailures": [] if failed is None else [{"itemIdentifier": numbers[failed]}]}

    taker.behave = behave
    map_stream(taker, FunctionResponseTypes=["ReportBatchItemFailures"])
    write(dynamodb, *"abcd")
    with delivering() as deliveries:
        assert deliveries.drain()
    assert taker.batches == [list("abcd"), list("cd")]


@pytest.mark.parametrize(
    "answer", [{"batchItemFailures": [{"itemIdentifier": "no such record"}]}, {"batchItemFailures": [{}]}, "text"]
)
def test_a_malformed_partial_response_fails_the_whole_batch(functions: Functions, dynamodb: Any, answer: Any) -> None:
    taker = functions.make("taker")
    answers = iter([answer, None])
    taker.behave = lambda event: next(answers)
    map_stream(taker, FunctionResponseTypes=["ReportBatchItemFailures"])
    write(dynamodb, *"ab")
    with delivering() as deliveries:
        assert deliveries.drain()
    assert taker.batches == [list("ab"), list("ab")]


def test_filters_let_only_matching_records_through(functions: Functions, dynamodb: Any) -> None:
    taker = functions.make("taker")
    wanted = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": [{"prefix": "good"}]}}}}
    map_stream(taker, FilterCriteria={"Filters": [{"Pattern": json.dumps(wanted)}]})
    with delivering() as deliveries:
        for n, kind in enumerate(("good one", "bad one", "good two")):
            dynamodb.put_item(TableName="events", Item={"pk": {"S": kind}, "n": {"N": str(n)}, "kind": {"S": kind}})
        dynamodb.delete_item(TableName="events", Key={"pk": {"S": "good one"}, "n": {"N": "0"}})
        assert deliveries.drain()
    assert [key for batch in taker.batches for key in batch] == ["good one", "good two"]


def test_a_mapping_made_while_delivering_is_served(functions: Functions, dynamodb: Any) -> None:
    with delivering() as deliveries:
        write(dynamodb, "before")
        late, only_new = functions.make("late"), functions.make("only_new")
        map_stream(late)
        map_stream(only_new, StartingPosition="LATEST")
        write(dynamodb, "after")
        assert deliveries.drain()
    assert [key for batch in late.batches for key in batch] == ["before", "after"]
    assert [key for batch in only_new.batches for key in batch] == ["after"]


def test_a_cancelled_transaction_announces_nothing(functions: Functions, dynamodb: Any) -> None:
    taker = functions.make("taker")
    map_stream(taker)
    check = {"TableName": "things", "Key": {"pk": {"S": "x"}, "sk": {"S": "x"}}}
    with delivering() as deliveries:
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
            dynamodb.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": "events", "Item": {"pk": {"S": "a"}, "n": {"N": "1"}}}},
                    {"ConditionCheck": {**check, "ConditionExpression": "attribute_exists(pk)"}},
                ]
            )
        assert deliveries.drain()
    assert taker.events == []


def test_a_transaction_over_several_tables_announces_its_records_wherever_they_stand_in_it(
    functions: Functions, dynamodb: Any
) -> None:
    taker = functions.make("taker")
    map_stream(taker)
    other = {"Put": {"TableName": "names", "Item": {"pk": {"S": "x"}}}}
    with delivering() as deliveries:
        for key, before, after in (("first", [], [other]), ("last", [other], []), ("only", [], [])):
            put = {"Put": {"TableName": "events", "Item": {"pk": {"S": key}, "n": {"N": "1"}}}}
            dynamodb.transact_write_items(TransactItems=[*before, put, *after])
        assert deliveries.drain()
    assert [key for batch in taker.batches for key in batch] == ["first", "last", "only"]


# ── with a data directory ───────────────────────────────────────────────────────────────────────────────────


@contextmanager
def life(directory: Path, name: str = "taker") -> Iterator[tuple[Any, Receiver, Durability]]:
    """One process life on a data directory: fresh moto, the same tables, the same function, its mapping."""
    with moto_with(data_repairs()), functions_in_process() as functions:
        durability = Durability(directory)
        dynamodb = make_tables()
        taker = functions.make(name)
        map_stream(taker, BatchSize=2)
        durability.attach()
        try:
            yield dynamodb, taker, durability
        finally:
            durability.close()


def test_what_was_not_delivered_before_the_end_is_delivered_after_the_next_start(tmp_path: Path) -> None:
    with life(tmp_path) as (dynamodb, _, _):
        write(dynamodb, "a", "b", "c")
    with life(tmp_path) as (dynamodb, taker, durability), delivering(durability) as deliveries:
        write(dynamodb, "d")
        assert deliveries.drain()
        assert [key for batch in taker.batches for key in batch] == ["a", "b", "c", "d"]
    with life(tmp_path) as (_, taker, durability), delivering(durability) as deliveries:
        assert deliveries.drain()
        assert taker.events == [], "what was delivered is not delivered again"


def test_a_batch_in_hand_at_the_end_is_delivered_again(tmp_path: Path) -> None:
    with life(tmp_path) as (dynamodb, taker, durability):
        deliveries = Deliveries(durability, time_scale=FAST)
        failing = threading.Event()

        def behave(event: Any) -> None:
            failing.set()
            raise RuntimeError("not today")

        taker.behave = behave
        deliveries.start()
        write(dynamodb, "a", "b")
        assert failing.wait(10)
        deliveries.stop()
    with life(tmp_path) as (_, taker, durability), delivering(durability) as deliveries:
        assert deliveries.drain()
        assert [key for batch in taker.batches for key in batch] == ["a", "b"]


def test_sequence_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    numbers: list[int] = []
    for key in ("a", "b"):
        with life(tmp_path) as (dynamodb, taker, durability), delivering(durability) as deliveries:
            write(dynamodb, key)
            assert deliveries.drain()
            numbers += [int(number) for event in taker.events for number in sequence_numbers(event)]
    assert len(numbers) == 2
    assert numbers[0] < numbers[1]


def test_records_that_all_consumers_finished_are_let_go(tmp_path: Path) -> None:
    with life(tmp_path) as (dynamodb, _, durability), delivering(durability) as deliveries:
        write(dynamodb, *"abc")
        assert deliveries.drain()
        assert durability.store.records("events") == []


def test_a_consumer_that_is_gone_holds_no_records_back(tmp_path: Path) -> None:
    with life(tmp_path, "old") as (_, _, durability), delivering(durability):
        pass
    with life(tmp_path, "new") as (dynamodb, taker, durability), delivering(durability) as deliveries:
        write(dynamodb, "a")
        assert deliveries.drain()
        assert taker.batches == [["a"]]
        assert durability.store.records("events") == []


def test_the_stream_api_reads_the_same_records(
    functions: Functions, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    write(dynamodb, "a", "b")
    streams = client("dynamodbstreams")
    arn = streams.list_streams(TableName="events")["Streams"][0]["StreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert [record["dynamodb"]["Keys"]["pk"]["S"] for record in records] == ["a", "b"]
