"""What was acknowledged is there after a restart, exactly as it was, and nothing else is."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex.errors import DataDirectoryBusy, NotFound
from infra.local.changes import keep
from infra.local.durability import Durability, open_readonly
from tests.integration.local_cloud.data_rig import client, data_repairs, make_tables, moto_with

TABLES = ("events", "things", "names")


@contextmanager
def life(directory: Path, bucket: str = "payloads-one") -> Iterator[Any]:
    """One process life on the directory; gives the DynamoDB client."""
    with moto_with(data_repairs()):
        durability = Durability(directory)
        try:
            dynamodb = make_tables()
            client("s3").create_bucket(Bucket=bucket)
            durability.attach(buckets={"payloads": bucket})
            yield dynamodb
        finally:
            durability.close()


def contents(dynamodb: Any) -> dict[str, list[Any]]:
    """All items of all tables, in an order of their own."""
    return {
        table: sorted(dynamodb.scan(TableName=table)["Items"], key=lambda item: repr(sorted(item.items())))
        for table in TABLES
    }


def objects(bucket: str) -> dict[str, tuple[bytes, str, dict[str, str]]]:
    storage = client("s3")
    found = storage.list_objects_v2(Bucket=bucket).get("Contents", [])
    answers = {entry["Key"]: storage.get_object(Bucket=bucket, Key=entry["Key"]) for entry in found}
    return {key: (got["Body"].read(), got["ContentType"], got["Metadata"]) for key, got in answers.items()}


# ── any sequence of writes ──────────────────────────────────────────────────────────────────────────────────

numbers = st.one_of(
    st.integers(-(10**37), 10**37).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**20), max_value=10**20).map(str),
    st.sampled_from(["0", "-0", "1.0", "1.50", "1E+20", "0.000001", "9" * 38]),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
blobs = st.binary(min_size=1, max_size=8)


def unique(values: st.SearchStrategy[Any], key: Any = None) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=4, unique_by=key or (lambda value: value))


attributes = st.recursive(
    st.one_of(
        texts.map(lambda value: {"S": value}),
        numbers.map(lambda value: {"N": value}),
        blobs.map(lambda value: {"B": value}),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.just({"NULL": True}),
        unique(texts).map(lambda values: {"SS": values}),
        unique(numbers, Decimal).map(lambda values: {"NS": values}),
        unique(blobs).map(lambda values: {"BS": values}),
    ),
    lambda nested: st.one_of(
        st.lists(nested, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(texts.filter(bool), nested, max_size=3).map(lambda values: {"M": values}),
    ),
    max_leaves=6,
)
event_keys = st.tuples(st.sampled_from("ab"), st.sampled_from(["1", "1.0", "2", "-3.5"])).map(
    lambda key: {"pk": {"S": key[0]}, "n": {"N": key[1]}}
)
name_keys = st.sampled_from("xyz").map(lambda name: {"pk": {"S": name}})
writes = st.one_of(
    st.tuples(st.just("put"), st.just("events"), event_keys, attributes),
    st.tuples(st.just("put"), st.just("names"), name_keys, attributes),
    st.tuples(st.just("update"), st.just("events"), event_keys, attributes),
    st.tuples(st.just("update"), st.just("names"), name_keys, attributes),
    st.tuples(st.just("delete"), st.just("events"), event_keys, st.none()),
    st.tuples(st.just("delete"), st.just("names"), name_keys, st.none()),
)
calls = st.tuples(
    st.sampled_from(["alone", "transaction", "batch", "refused"]), st.lists(writes, min_size=1, max_size=3)
)


def action(write: Any) -> dict[str, Any]:
    kind, table, key, value = write
    if kind == "put":
        return {"Put": {"TableName": table, "Item": {**key, "v": value}}}
    if kind == "delete":
        return {"Delete": {"TableName": table, "Key": key}}
    update = {
        "UpdateExpression": "SET v = :v ADD times :one",
        "ExpressionAttributeValues": {":v": value, ":one": {"N": "1"}},
    }
    return {"Update": {"TableName": table, "Key": key, **update}}


def once_per_item(group: list[Any]) -> list[Any]:
    def identity(write: Any) -> tuple[Any, ...]:
        return write[1], write[2]["pk"]["S"], Decimal(write[2].get("n", {"N": "0"})["N"])

    return list({identity(write): write for write in group}.values())


def carry_out(dynamodb: Any, way: str, group: list[Any]) -> None:
    group = once_per_item(group)
    if way == "alone":
        for write in group:
            kind, arguments = next(iter(action(write).items()))
            getattr(dynamodb, f"{kind.lower()}_item")(**arguments)
    elif way == "batch":
        requests: dict[str, list[Any]] = {}
        for kind, table, key, value in group:
            request = (
                {"DeleteRequest": {"Key": key}} if kind == "delete" else {"PutRequest": {"Item": {**key, "v": value}}}
            )
            requests.setdefault(table, []).append(request)
        dynamodb.batch_write_item(RequestItems=requests)
    else:
        actions = [action(write) for write in group]
        if way == "refused":
            never = {"TableName": "things", "Key": {"pk": {"S": "no"}, "sk": {"S": "no"}}}
            actions.append({"ConditionCheck": {**never, "ConditionExpression": "attribute_exists(pk)"}})
            with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
                dynamodb.transact_write_items(TransactItems=actions)
        else:
            dynamodb.transact_write_items(TransactItems=actions)


@settings(max_examples=30)
@given(st.lists(calls, max_size=6), st.lists(calls, max_size=3))
def test_any_writes_read_back_the_same_after_a_restart(first: list[Any], second: list[Any]) -> None:
    with TemporaryDirectory() as directory:
        with life(Path(directory)) as dynamodb:
            for way, group in first:
                carry_out(dynamodb, way, group)
            before = contents(dynamodb)
        with life(Path(directory)) as dynamodb:
            assert contents(dynamodb) == before
            for way, group in second:
                carry_out(dynamodb, way, group)
            after = contents(dynamodb)
        with life(Path(directory)) as dynamodb:
            assert contents(dynamodb) == after


# ── objects ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_objects_come_back_into_the_bucket_of_the_next_start(tmp_path: Path) -> None:
    with life(tmp_path, "payloads-one"):
        storage = client("s3")
        storage.put_object(
            Bucket="payloads-one", Key="a/1", Body=b"\x00one", ContentType="application/json", Metadata={"who": "me"}
        )
        storage.put_object(Bucket="payloads-one", Key="a/2", Body=b"two")
        storage.put_object(Bucket="payloads-one", Key="a/2", Body=b"two again")
        storage.copy_object(Bucket="payloads-one", Key="copy", CopySource="payloads-one/a/1")
        for key in ("gone", "gone too"):
            storage.put_object(Bucket="payloads-one", Key=key, Body=b"x")
        storage.delete_object(Bucket="payloads-one", Key="gone")
        storage.delete_objects(Bucket="payloads-one", Delete={"Objects": [{"Key": "gone too"}]})
        before = objects("payloads-one")
    assert before["a/1"] == (b"\x00one", "application/json", {"who": "me"})
    assert sorted(before) == ["a/1", "a/2", "copy"]
    with life(tmp_path, "payloads-two"):
        assert objects("payloads-two") == before


def test_objects_of_other_buckets_are_not_kept(tmp_path: Path) -> None:
    with life(tmp_path):
        client("s3").create_bucket(Bucket="assets")
        client("s3").put_object(Bucket="assets", Key="a", Body=b"x")
    with life(tmp_path):
        assert objects("payloads-one") == {}


# ── one writer ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    first = Durability(tmp_path)
    with pytest.raises(DataDirectoryBusy, match=str(os.getpid())):
        Durability(tmp_path)
    first.close()
    Durability(tmp_path).close()


def test_a_write_that_cannot_be_kept_fails_and_changes_nothing(tmp_path: Path) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left")

    with life(tmp_path) as dynamodb:
        dynamodb.put_item(TableName="names", Item={"pk": {"S": "a"}, "v": {"N": "1"}})
        stop = keep(full)
        with pytest.raises(OSError, match="no space left"):
            dynamodb.put_item(TableName="names", Item={"pk": {"S": "a"}, "v": {"N": "2"}})
        stop()
        assert contents(dynamodb)["names"] == [{"pk": {"S": "a"}, "v": {"N": "1"}}]


def test_writers_in_many_threads_lose_nothing(tmp_path: Path) -> None:
    def count(dynamodb: Any) -> None:
        for _ in range(20):
            dynamodb.update_item(
                TableName="names",
                Key={"pk": {"S": "counter"}},
                UpdateExpression="ADD times :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    with life(tmp_path) as dynamodb:
        threads = [threading.Thread(target=count, args=(dynamodb,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with life(tmp_path) as dynamodb:
        assert contents(dynamodb)["names"] == [{"pk": {"S": "counter"}, "times": {"N": "200"}}]


# ── reading along ───────────────────────────────────────────────────────────────────────────────────────────


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


READER = """
import json, sys, boto3
from pathlib import Path
from infra.local.durability import open_readonly
with open_readonly(Path(sys.argv[1])) as snapshot:
    things = boto3.client("dynamodb", region_name="us-east-1").query(
        TableName="things", IndexName="by_owner", KeyConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"}, ExpressionAttributeValues={":o": {"S": "me"}})["Items"]
    bucket = snapshot.buckets["payloads"]
    body = boto3.client("s3", region_name="us-east-1").get_object(Bucket=bucket, Key="k")["Body"].read().decode()
    print(json.dumps({"tables": snapshot.tables, "things": things, "body": body}))
"""


def test_another_process_reads_while_the_writer_lives_and_after_it(tmp_path: Path) -> None:
    key = {"pk": {"S": "p"}, "sk": {"S": "s"}, "owner": {"S": "me"}, "since": {"S": "today"}}
    with life(tmp_path) as dynamodb:
        dynamodb.put_item(TableName="things", Item={**key, "large": {"S": "x"}})
        client("s3").put_object(Bucket="payloads-one", Key="k", Body=b"body")
        alive = json.loads(run(READER, str(tmp_path)))
    assert sorted(alive["tables"]) == sorted(TABLES)
    assert alive["things"] == [key]
    assert alive["body"] == "body"
    assert json.loads(run(READER, str(tmp_path))) == alive


def test_reading_takes_no_lock_and_leaves_the_data_alone(tmp_path: Path) -> None:
    with life(tmp_path) as dynamodb:
        dynamodb.put_item(TableName="names", Item={"pk": {"S": "a"}})
    with open_readonly(tmp_path):
        client("dynamodb").put_item(TableName="names", Item={"pk": {"S": "never kept"}})
        Durability(tmp_path).close()
    with life(tmp_path) as dynamodb:
        assert contents(dynamodb)["names"] == [{"pk": {"S": "a"}}]


def test_there_is_nothing_to_read_in_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(NotFound), open_readonly(tmp_path):
        pass


# ── killed at any moment ────────────────────────────────────────────────────────────────────────────────────


def killed_after(directory: Path, name: str, writes: int) -> int:
    """Let a process write, kill it with SIGKILL once it has acknowledged so many; returns the last it acknowledged."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.local_cloud.durability_writer", str(directory), name],
        stdout=subprocess.PIPE,
        text=True,
    )
    acknowledged: list[int] = []
    assert writer.stdout is not None
    for line in writer.stdout:
        acknowledged.append(int(line))
        if len(acknowledged) == writes:
            writer.send_signal(signal.SIGKILL)
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    return acknowledged[-1]


def test_everything_acknowledged_before_sigkill_is_there_after_it(tmp_path: Path) -> None:
    last = {name: killed_after(tmp_path, name, writes) for name, writes in (("one", 40), ("two", 15))}
    with open_readonly(tmp_path) as snapshot:
        dynamodb = client("dynamodb")
        kept = objects(snapshot.buckets["payloads"])
        for name, acknowledged in last.items():
            found = dynamodb.query(
                TableName="events", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": name}}
            )["Items"]
            written = [int(item["n"]["N"]) for item in found]
            # One write more may have been on its way; nothing may be missing, and no transaction is there in part.
            assert written == list(range(1, len(written) + 1))
            assert acknowledged <= len(written) <= acknowledged + 1
            head = dynamodb.get_item(TableName="things", Key={"pk": {"S": "head"}, "sk": {"S": name}})["Item"]
            assert int(head["latest"]["N"]) == len(written)
            assert {f"{name}-{number}" for number in range(1, acknowledged + 1)} <= kept.keys()
            (left,) = [
                item["pk"]["S"]
                for item in dynamodb.scan(TableName="names")["Items"]
                if item["pk"]["S"].startswith(name)
            ]
            assert left in {f"{name}-{acknowledged}", f"{name}-{acknowledged + 1}"}
