"""DynamoDB: operations that are whole, transactions that copy no table, updates that cannot fail half-way."""

import base64
import copy
import functools
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.dynamodb.comparisons import get_expected, get_filter_expression
from moto.dynamodb.exceptions import (
    AttributeDoesNotExist,
    ConditionalCheckFailed,
    DynamodbException,
    IncorrectDataType,
    InvalidAttributeTypeError,
    InvalidUpdateExpressionInvalidDocumentPath,
    ItemSizeTooLarge,
    ItemSizeToUpdateTooLarge,
    MockValidationException,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
    TransactWriteSingleOpException,
)
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import StreamShard, Table
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.parsing.validators import UpdateExpressionValidator
from moto.dynamodb.responses import DynamoHandler

from infra.local.changes import operation, place
from infra.local.items import item_bytes, item_to_wire, key_text
from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_patching import replace

MAXIMUM_ITEM_BYTES = 400 * 1024
TOKEN_SECONDS = 600
"""How long DynamoDB remembers the client token of a transaction."""
_TOKENS_KEPT = 10_000
_TRANSACTION_ACTIONS = 100

_CALLS = (
    "put_item", "update_item", "delete_item", "batch_write_item", "transact_write_items",
    "get_item", "batch_get_item", "transact_get_items", "query", "scan",
    "execute_statement", "execute_transaction", "batch_execute_statement",
)  # fmt: skip

_CANCELLING = (
    AttributeDoesNotExist,
    IncorrectDataType,
    InvalidUpdateExpressionInvalidDocumentPath,
    ItemSizeTooLarge,
    ItemSizeToUpdateTooLarge,
)
"""What is wrong with the data, not with the request: DynamoDB cancels the transaction and names the action."""


# ── one call is one operation ───────────────────────────────────────────────────────────────────────────────


def _in_one_operation(call: Callable[[DynamoHandler], ActionResult]) -> Callable[[DynamoHandler], ActionResult]:
    @functools.wraps(call)
    def whole(handler: DynamoHandler) -> ActionResult:
        with operation():
            return call(handler)

    return whole


def _add(shard: StreamShard, old: Item | None, new: Item | None) -> None:
    with operation() as running:
        running.record(shard.table, old, new)
        if new is not None and item_bytes(new) > MAXIMUM_ITEM_BYTES:
            raise ItemSizeTooLarge


def _install_operations() -> Undo:
    specify = Table.set_stream_specification

    def set_stream_specification(table: Table, streams: dict[str, Any] | None) -> None:
        specify(table, streams)
        if table.stream_shard is None:  # every change has to pass, of tables without a stream too
            table.stream_shard = StreamShard(table.account_id, table)

    return replace(
        (StreamShard, "add", _add),
        (Table, "set_stream_specification", set_stream_specification),
        *((DynamoHandler, name, _in_one_operation(getattr(DynamoHandler, name))) for name in _CALLS),
    )


# ── reads that write ────────────────────────────────────────────────────────────────────────────────────────


def _get_item(
    table: Table,
    hash_key: DynamoType,
    range_key: DynamoType | None = None,
    projection_expression: list[list[str]] | None = None,
) -> Item | None:
    if table.has_range_key and range_key is None:
        raise MockValidationException("The provided key element does not match the schema")
    held: Any = table.items.get(hash_key)
    item: Item | None = held.get(range_key) if range_key is not None and held is not None else held
    return item.project(projection_expression) if item is not None and projection_expression else item


# ── updates on a copy ───────────────────────────────────────────────────────────────────────────────────────


def _refuse_wrong_key(table: Table, key: dict[str, Any]) -> None:
    for name, kind in ((table.hash_key_attr, table.hash_key_type), (table.range_key_attr, table.range_key_type)):
        if name is not None and (actual := next(iter(key[name]))) != kind:
            raise InvalidAttributeTypeError(name, kind, actual)
    table._validate_item_types(key)
    table._validate_key_sizes(key)


def _refuse_unless(met: bool, current: Item | None, return_values: str | None) -> None:
    if not met:
        shown = item_to_wire(current) if return_values == "ALL_OLD" and current is not None else None
        raise ConditionalCheckFailed(item=shown)


def apply_expression(table: Table, item: Item, expression: str, names: dict[str, Any], values: dict[str, Any]) -> None:
    """Carry out an update expression on ``item``, a copy that only the caller holds; it may be left half done.

    Raises moto's errors for expressions that are wrong or do not fit the item or the table.
    """
    tree = UpdateExpressionParser.make(expression)
    validated = UpdateExpressionValidator(
        tree, expression_attribute_names=names, expression_attribute_values=values, item=item, table=table
    ).validate()
    validated.normalize()
    try:
        UpdateExpressionExecutor(validated, item, names).execute()
    except ItemSizeTooLarge:
        raise ItemSizeToUpdateTooLarge from None


def _update_item(
    self: DynamoDBBackend,
    table_name: str,
    key: dict[str, dict[str, Any]],
    update_expression: str,
    expression_attribute_names: dict[str, Any] | None,
    expression_attribute_values: dict[str, Any] | None,
    **options: Any,
) -> Item:
    table = self.get_table(table_name)
    names, values = expression_attribute_names or {}, expression_attribute_values or {}
    with operation() as running:
        partition, sort = self.get_keys_value(table, key)
        current = table.get_item(partition, sort)
        met = get_expected(options.get("expected") or {}).expr(current)
        condition = get_filter_expression(options.get("condition_expression"), names, values)
        wanted = options.get("return_values_on_condition_check_failure")
        _refuse_unless(met and condition.expr(current), current, wanted)
        if current is None:
            _refuse_wrong_key(table, key)
        updated = Item(partition, sort, key) if current is None else copy.deepcopy(current)
        if update_expression:
            apply_expression(table, updated, update_expression, names, values)
        elif attribute_updates := options.get("attribute_updates"):
            updated.validate_no_empty_key_values(attribute_updates, table.attribute_keys)
            updated.update_with_attribute_updates(attribute_updates)
        if item_bytes(updated) > MAXIMUM_ITEM_BYTES:
            raise ItemSizeToUpdateTooLarge
        place(table, updated, updated)
        running.record(table, current, updated)
    return updated


# ── transactions ────────────────────────────────────────────────────────────────────────────────────────────

Reason = tuple[str | None, str | None, dict[str, Any] | None]
_FINE: Reason = (None, None, None)


def _target(backend: DynamoDBBackend, action: dict[str, Any]) -> tuple[str, str, str]:
    table = backend.get_table(action["TableName"])
    partition, sort = backend.get_keys_value(table, action.get("Item") or action["Key"])
    return table.name, key_text(partition), key_text(sort)


def _refuse_malformed(backend: DynamoDBBackend, actions: list[dict[str, Any]]) -> None:
    if len(actions) > _TRANSACTION_ACTIONS:
        raise TooManyTransactionsException
    if any(len(action) != 1 for action in actions):
        raise TransactWriteSingleOpException
    targets = {_target(backend, next(iter(action.values()))) for action in actions}
    if len(targets) < len(actions):
        raise MultipleTransactionsException


def _attempt(backend: DynamoDBBackend, kind: str, action: dict[str, Any]) -> Reason:
    """Do one action of a transaction, its condition first; say why if it cannot be done."""
    table_name, names, values = (
        action["TableName"],
        action.get("ExpressionAttributeNames"),
        action.get("ExpressionAttributeValues"),
    )
    current = backend.get_item(table_name, action.get("Item") or action["Key"])
    if not get_filter_expression(action.get("ConditionExpression"), names, values).expr(current):
        wants_item = action.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and current is not None
        return (
            "ConditionalCheckFailed",
            "The conditional request failed",
            item_to_wire(current) if wants_item and current is not None else None,
        )
    try:
        if kind == "Put":
            backend.put_item(table_name, action["Item"], overwrite=True)
        elif kind == "Delete":
            backend.delete_item(table_name, action["Key"])
        elif kind == "Update":
            backend.update_item(table_name, action["Key"], action["UpdateExpression"], names or {}, values or {})
    except _CANCELLING as problem:
        return "ValidationError", problem.exception_msg, None
    return _FINE


def _transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    with operation():
        _refuse_malformed(self, transact_items)
        reasons = [_attempt(self, *next(iter(action.items()))) for action in transact_items]
        if any(code is not None for code, _, _ in reasons):
            raise TransactionCanceledException(reasons)  # leaving the operation undoes what was done


class IdempotentParameterMismatch(DynamodbException):
    """A client token came again with other contents."""

    def __init__(self) -> None:
        super().__init__(
            "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException",
            "The client token was used with different request parameters before",
        )


def _fingerprint(body: dict[str, Any]) -> str:
    told = {name: value for name, value in body.items() if name not in ("ClientRequestToken", "ReturnConsumedCapacity")}
    text = json.dumps(told, sort_keys=True, default=lambda value: base64.b64encode(value).decode("ascii"))
    return hashlib.sha256(text.encode()).hexdigest()


def _tokens(backend: DynamoDBBackend) -> OrderedDict[str, tuple[str, float]]:
    known: OrderedDict[str, tuple[str, float]] = backend.__dict__.setdefault("_client_tokens", OrderedDict())
    forget_before = time.monotonic() - TOKEN_SECONDS
    while known and (next(iter(known.values()))[1] < forget_before or len(known) > _TOKENS_KEPT):
        known.popitem(last=False)
    return known


def _install_tokens() -> Undo:
    transact = DynamoHandler.transact_write_items

    def transact_write_items(handler: DynamoHandler) -> ActionResult:
        token = handler.body.get("ClientRequestToken")
        if not token:
            return transact(handler)
        with operation():
            known, fingerprint = (_tokens(handler.dynamodb_backend), _fingerprint(handler.body))
            if (seen := known.get(token)) is None:
                result = transact(handler)
                known[token] = (fingerprint, time.monotonic())
                return result
        if seen[0] != fingerprint:
            raise IdempotentParameterMismatch
        return ActionResult({})

    return replace((DynamoHandler, "transact_write_items", transact_write_items))


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "dynamodb-operations",
        "A call that fails half-way leaves its first changes behind, other threads see calls in part, an item's "
        "insertion by UpdateItem is announced twice, and Lambda is called within the writer's call, one record a time.",
        _install_operations,
    ),
    Repair(
        "dynamodb-reads-leave-no-trace",
        "Reading an item that is not there adds its partition key to the table.",
        lambda: replace((Table, "get_item", _get_item)),
    ),
    Repair(
        "dynamodb-updates-on-a-copy",
        "UpdateItem alters the stored item in place, so that an update refused half-way is half applied.",
        lambda: replace((DynamoDBBackend, "update_item", _update_item)),
    ),
    Repair(
        "dynamodb-transactions",
        "TransactWriteItems copies whole tables first and puts the copies back when it is cancelled, which loses "
        "what other threads wrote meanwhile and costs time in proportion to the tables; data that an action cannot be "
        "applied to fails the request instead of cancelling the transaction with a reason.",
        lambda: replace((DynamoDBBackend, "transact_write_items", _transact_write_items)),
    ),
    Repair(
        "dynamodb-client-tokens",
        "TransactWriteItems ignores ClientRequestToken: a repeated transaction is applied again.",
        _install_tokens,
    ),
)
