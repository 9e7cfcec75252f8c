"""DynamoDB and S3 in memory: the calls that the store makes, quick, one after the other, and failing on demand.

Only what the store uses is there: a transaction of puts and deletes with conditions of the forms that it writes, reads
by key, queries by key or index. Anything else raises ``NotImplementedError``, so the stand-in cannot pretend. That it
agrees with DynamoDB is shown by the stores' conformance suite, which runs over it too.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, NoReturn

from botocore.exceptions import ClientError, ReadTimeoutError

from apex.adapters.dynamodb.tables import TABLES, TableSpec

Item = dict[str, dict[str, Any]]
Key = tuple[str, Any]
Hook = Callable[[str, Sequence[Mapping[str, Any]]], str | None]
"""Asked before each call with its name and its writes; answers None, or what is to go wrong: a name of ``TROUBLE``."""

TROUBLE = frozenset({"applied_no_answer", "lost", "conflict", "throttled"})


class MemoryTables:
    """Stands in for a boto3 ``dynamodb`` client. ``applied`` is told the writes of each transaction that took place."""

    def __init__(
        self,
        specs: Sequence[TableSpec] = TABLES,
        hook: Hook | None = None,
        applied: Callable[[Sequence[Mapping[str, Any]]], None] | None = None,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._tables: dict[str, dict[str, dict[Any, Item]]] = {spec.name: {} for spec in specs}
        self._hook = hook or (lambda _call, _writes: None)
        self._applied = applied or (lambda _writes: None)

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def transact_write_items(self, *, TransactItems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """All or nothing; raises ``ClientError`` with one reason per item where a condition does not hold."""
        trouble = self._hook("transact_write_items", TransactItems)
        if trouble == "conflict":
            raise _cancelled([{"Code": "TransactionConflict"}] + [{"Code": "None"}] * (len(TransactItems) - 1))
        self._fail_before(trouble)
        reasons = [self._reason(*next(iter(action.items()))) for action in TransactItems]
        if any(reason["Code"] != "None" for reason in reasons):
            raise _cancelled(reasons)
        for action in TransactItems:
            self._apply(*next(iter(action.items())))
        self._applied(TransactItems)
        if trouble == "applied_no_answer":
            raise ReadTimeoutError(endpoint_url="memory://tables")
        return {}

    def put_item(self, *, TableName: str, Item: Item) -> dict[str, Any]:
        """Write one item."""
        self._fail_before(self._hook("put_item", []))
        self._apply("Put", {"TableName": TableName, "Item": Item})
        return {}

    def batch_write_item(self, *, RequestItems: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
        """Write up to 25 items, each by itself."""
        self._fail_before(self._hook("batch_write_item", []))
        for table, requests in RequestItems.items():
            for request in requests:
                self._apply("Put", {"TableName": table, "Item": request["PutRequest"]["Item"]})
        return {"UnprocessedItems": {}}

    def _reason(self, verb: str, write: Mapping[str, Any]) -> dict[str, Any]:
        condition = write.get("ConditionExpression")
        if condition is None:
            return {"Code": "None"}
        stored = self._find(write["TableName"], write.get("Item") or write["Key"])
        if _holds(condition, stored, write):
            return {"Code": "None"}
        reason: dict[str, Any] = {
            "Code": "ConditionalCheckFailed",
            "Message": f"the condition of a {verb} does not hold",
        }
        if stored is not None and write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            reason["Item"] = dict(stored)
        return reason

    def _apply(self, verb: str, write: Mapping[str, Any]) -> None:
        table = write["TableName"]
        pk, sk = self._key(table, write.get("Item") or write["Key"])
        partition = self._tables[table].setdefault(pk, {})
        if verb == "Put":
            partition[sk] = write["Item"]
        elif verb == "Delete":
            partition.pop(sk, None)
        else:
            raise NotImplementedError(verb)

    def rows(self, table: str) -> Iterator[Item]:
        """All items of a table, for whoever looks from outside."""
        for partition in self._tables[table].values():
            yield from partition.values()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool) -> dict[str, Any]:
        """The item of that key, if there is one."""
        _consistent(ConsistentRead)
        self._fail_before(self._hook("get_item", []))
        found = self._find(TableName, Key)
        return {} if found is None else {"Item": dict(found)}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        """The items of those keys, without those that are not there."""
        self._fail_before(self._hook("batch_get_item", []))
        responses: dict[str, list[Item]] = {}
        for table, wanted in RequestItems.items():
            _consistent(wanted["ConsistentRead"])
            found = [self._find(table, key) for key in wanted["Keys"]]
            responses[table] = [dict(item) for item in found if item is not None]
        return {"Responses": responses, "UnprocessedKeys": {}}

    def query(self, **request: Any) -> dict[str, Any]:
        """All items of one partition, or of one index, in the order of their sort keys, in one page."""
        self._fail_before(self._hook("query", []))
        found = list(self._matching(request))
        if not request.get("ScanIndexForward", True):
            found.reverse()
        return {"Items": found[: request.get("Limit", len(found))]}

    def get_paginator(self, name: str) -> "MemoryTables":
        """The paginator of ``query``: this object, since everything fits into one page."""
        if name != "query":
            raise NotImplementedError(name)
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """The one page."""
        yield self.query(**request)

    def _matching(self, request: Mapping[str, Any]) -> Iterator[Item]:
        spec = self._specs[request["TableName"]]
        values = request["ExpressionAttributeValues"]
        matched = _KEY_CONDITION.fullmatch(request["KeyConditionExpression"])
        if matched is None:
            raise NotImplementedError(request["KeyConditionExpression"])
        wanted = values[matched["value"]]["S"]
        if "IndexName" in request:
            yield from self._of_index(spec, request["IndexName"], wanted)
            return
        partition = self._tables[spec.name].get(wanted, {})
        for sk in sorted(partition):
            if matched["prefix"] and not sk.startswith(values[matched["prefix"]]["S"]):
                continue
            if matched["after"] and not sk > int(values[matched["after"]]["N"]):
                continue
            yield dict(partition[sk])

    def _of_index(self, spec: TableSpec, name: str, wanted: str) -> Iterator[Item]:
        index = next(index for index in spec.indexes if index.name == name)
        keys = (spec.partition_key, spec.sort_key, index.partition_key, index.sort_key)
        items = [item for partition in self._tables[spec.name].values() for item in partition.values()]
        listed = [item for item in items if item.get(index.partition_key) == {"S": wanted} and index.sort_key in item]
        for item in sorted(listed, key=lambda item: item[index.sort_key]["S"]):
            yield {key: item[key] for key in keys}

    def _find(self, table: str, key: Item) -> Item | None:
        pk, sk = self._key(table, key)
        return self._tables[table].get(pk, {}).get(sk)

    def _key(self, table: str, item: Item) -> Key:
        spec = self._specs[table]
        sort = item[spec.sort_key]
        return item[spec.partition_key]["S"], int(sort["N"]) if spec.sort_type == "N" else sort["S"]

    def _fail_before(self, trouble: str | None) -> None:
        if trouble == "throttled":
            _refuse("ProvisionedThroughputExceededException")
        if trouble == "lost":
            raise ReadTimeoutError(endpoint_url="memory://tables")
        if trouble is not None and trouble not in TROUBLE:
            raise NotImplementedError(trouble)


_KEY_CONDITION = re.compile(
    r"(?P<name>\w+) = (?P<value>:\w+)"
    r"( AND begins_with\(sk, (?P<prefix>:\w+)\)| AND seq > (?P<after>:\w+))?"
)
_IN = re.compile(r"(?P<name>[#\w]+) IN \((?P<values>[:\w, ]+)\)")
_ABSENT = re.compile(r"attribute_not_exists\((?P<name>\w+)\)")
_EQUAL = re.compile(r"(?P<name>[#\w]+) = (?P<value>:\w+)")


def _holds(condition: str, stored: Item | None, write: Mapping[str, Any]) -> bool:
    """Whether the stored item fulfils every part of the condition; an absent item has no attributes."""
    names = write.get("ExpressionAttributeNames", {})
    values = write.get("ExpressionAttributeValues", {})
    item = stored or {}
    for part in condition.split(" AND "):
        if absent := _ABSENT.fullmatch(part):
            holds = absent["name"] not in item
        elif equal := _EQUAL.fullmatch(part):
            holds = item.get(names.get(equal["name"], equal["name"])) == values[equal["value"]]
        elif among := _IN.fullmatch(part):
            allowed = [values[name] for name in among["values"].split(", ")]
            holds = item.get(names.get(among["name"], among["name"])) in allowed
        else:
            raise NotImplementedError(part)
        if not holds:
            return False
    return True


def _cancelled(reasons: list[dict[str, Any]]) -> ClientError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": f"Transaction cancelled [{codes}]"},
        "CancellationReasons": reasons,
    }
    return ClientError(response, "TransactWriteItems")


def _refuse(code: str) -> NoReturn:
    raise ClientError({"Error": {"Code": code, "Message": "as the fault has it"}}, "memory")


def _consistent(consistent: bool) -> None:
    if not consistent:
        raise NotImplementedError("the ledger is read consistently, always")


class MemoryBucket:
    """Stands in for a boto3 ``s3`` client. ``hook`` is asked before each write and raises what is to go wrong."""

    def __init__(self, hook: Callable[[], None] | None = None) -> None:
        self._objects: dict[tuple[str, str], bytes] = {}
        self._hook = hook or (lambda: None)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> dict[str, Any]:  # noqa: ARG002
        """Keep an object."""
        self._hook()
        self._objects[Bucket, Key] = Body
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        """The object's content as a stream."""
        return {"Body": BytesIO(self._objects[Bucket, Key])}
