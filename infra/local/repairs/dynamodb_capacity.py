"""DynamoDB: ConsumedCapacity from the sizes of items instead of constants."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from infra.local.capacity import Bill
from infra.local.changes import operation
from infra.local.items import item_bytes, key_text
from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_patching import replace

Bills = dict[str, Bill]
Call = Callable[[DynamoHandler], ActionResult]
Changed = Mapping[tuple[str, tuple[str, str]], tuple[Item | None, Item | None]]

_SEVERAL_TABLES = frozenset({"batch_get_item", "batch_write_item", "transact_get_items", "transact_write_items"})
_examined: list[int] = []
"""Sizes of the items that the running query or scan looked at; calls run one at a time."""
_examine = {"enabled": False}


class _Examining:
    """A filter that notes the size of each item it is asked about: filtered items are read and paid for too."""

    def __init__(self, wanted: Any) -> None:
        self._wanted = wanted

    def expr(self, item: Item) -> bool:
        _examined.append(item_bytes(item))
        return bool(self._wanted is None or self._wanted.expr(item))


def _examining(look: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(look)
    def examine(table: Table, *given: Any, **options: Any) -> Any:
        if not _examine["enabled"]:
            return look(table, *given, **options)
        arguments = list(given)
        position = look.__code__.co_varnames.index("filter_expression") - 1
        if len(arguments) > position:
            arguments[position] = _Examining(arguments[position])
        else:
            options["filter_expression"] = _Examining(options.get("filter_expression"))
        return look(table, *arguments, **options)

    return examine


# ── what each call touched ──────────────────────────────────────────────────────────────────────────────────


def _bill(handler: DynamoHandler, bills: Bills, table_name: str, factor: float = 1.0) -> Bill:
    table = handler.dynamodb_backend.get_table(table_name)
    return bills.setdefault(table.name, Bill(table, factor))


def _current(handler: DynamoHandler, table: Table, key: Mapping[str, Any]) -> Item | None:
    item: Item | None = table.get_item(*handler.dynamodb_backend.get_keys_value(table, key))
    return item


def _charge_write(handler: DynamoHandler, bill: Bill, key: Mapping[str, Any], changed: Changed) -> None:
    partition, sort = handler.dynamodb_backend.get_keys_value(bill.table, key)
    old, new = changed.get((bill.table.name, (key_text(partition), key_text(sort))), (None, None))
    bill.write(old, new)


def _read_item(handler: DynamoHandler, bills: Bills, _changed: Changed) -> None:
    body = handler.body
    bill = _bill(handler, bills, body["TableName"])
    size = item_bytes(_current(handler, bill.table, body["Key"]))
    bill.read(size, consistent=bool(body.get("ConsistentRead")))


def _read_many(handler: DynamoHandler, bills: Bills, _changed: Changed) -> None:
    bill = _bill(handler, bills, handler.body["TableName"])
    consistent = bool(handler.body.get("ConsistentRead"))
    bill.read(sum(_examined), consistent=consistent, index=handler.body.get("IndexName"))


def _write_item(handler: DynamoHandler, bills: Bills, changed: Changed) -> None:
    bill = _bill(handler, bills, handler.body["TableName"])
    _charge_write(handler, bill, handler.body.get("Item") or handler.body["Key"], changed)


def _read_batch(handler: DynamoHandler, bills: Bills, _changed: Changed) -> None:
    for name, request in handler.body["RequestItems"].items():
        bill = _bill(handler, bills, name)
        for key in request["Keys"]:
            size = item_bytes(_current(handler, bill.table, key))
            bill.read(size, consistent=bool(request.get("ConsistentRead")))


def _write_batch(handler: DynamoHandler, bills: Bills, changed: Changed) -> None:
    for name, requests in handler.body["RequestItems"].items():
        bill = _bill(handler, bills, name)
        for request in requests:
            key = request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]
            _charge_write(handler, bill, key, changed)


def _read_transaction(handler: DynamoHandler, bills: Bills, _changed: Changed) -> None:
    for request in handler.body["TransactItems"]:
        bill = _bill(handler, bills, request["Get"]["TableName"], 2.0)
        bill.read(item_bytes(_current(handler, bill.table, request["Get"]["Key"])), consistent=True)


def _write_transaction(handler: DynamoHandler, bills: Bills, changed: Changed) -> None:
    for request in handler.body["TransactItems"]:
        kind, action = next(iter(request.items()))
        bill = _bill(handler, bills, action["TableName"], 2.0)
        key = action.get("Item") or action["Key"]
        if kind == "ConditionCheck" or not changed:  # without changes it is a transaction done before: a read
            bill.read(item_bytes(_current(handler, bill.table, key)), consistent=True)
        else:
            _charge_write(handler, bill, key, changed)


_CHARGES: Mapping[str, Callable[[DynamoHandler, Bills, Changed], None]] = {
    "get_item": _read_item,
    "query": _read_many,
    "scan": _read_many,
    "put_item": _write_item,
    "update_item": _write_item,
    "delete_item": _write_item,
    "batch_get_item": _read_batch,
    "batch_write_item": _write_batch,
    "transact_get_items": _read_transaction,
    "transact_write_items": _write_transaction,
}


# ── the answer ──────────────────────────────────────────────────────────────────────────────────────────────


def _metered(name: str, call: Call) -> Call:
    @functools.wraps(call)
    def meter(handler: DynamoHandler) -> ActionResult:
        wanted = handler.body.get("ReturnConsumedCapacity", "NONE")
        with operation() as running:
            _examined.clear()
            _examine["enabled"] = wanted != "NONE"
            result = call(handler)
            result.result.pop("ConsumedCapacity", None)
            if wanted != "NONE":
                changed = {(change.table.name, change.key): (change.old, change.new) for change in running.changes}
                bills: Bills = {}
                _CHARGES[name](handler, bills, changed)
                consumed = _as_json(bills.values(), by_index=wanted == "INDEXES")
                result.result["ConsumedCapacity"] = consumed if name in _SEVERAL_TABLES else consumed[0]
            return result

    return meter


def _as_json(bills: Iterable[Bill], *, by_index: bool) -> list[dict[str, Any]]:
    return [bill.to_json(by_index=by_index) for bill in bills]


def _install() -> Undo:
    return replace(
        *((DynamoHandler, name, _metered(name, getattr(DynamoHandler, name))) for name in _CHARGES),
        (Table, "query", _examining(Table.query)),
        (Table, "scan", _examining(Table.scan)),
    )


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "dynamodb-capacity",
        "ConsumedCapacity is a constant, whatever the items' sizes; transactional writes report none, and batches "
        "report it unasked.",
        _install,
    ),
)
