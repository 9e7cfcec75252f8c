"""DynamoDB at the speed of memory: what moto does over again for every call is done once, or not at all."""

import functools
import pickle
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from moto.dynamodb.comparisons import ConditionExpressionParser, get_comparison_func
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.parsing.validators import Validator
from moto.dynamodb.responses import DynamoHandler

from infra.local.direct_calls import answer_directly
from infra.local.repairs import Repair, Undo, dynamodb
from infra.local.repairs.stepfunctions_patching import replace
from infra.local.update_plans import Declined, plan

_PARSED_EXPRESSIONS = 4096

_DATA_CALLS = {
    "GetItem": "get_item",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "Query": "query",
    "Scan": "scan",
    "BatchGetItem": "batch_get_item",
    "BatchWriteItem": "batch_write_item",
    "TransactGetItems": "transact_get_items",
    "TransactWriteItems": "transact_write_items",
}

# ── expressions are parsed once ─────────────────────────────────────────────────────────────────────────────


class _Tree(ConditionExpressionParser):
    """Stops at the syntax tree instead of making it executable."""

    def _make_op_condition(self, node: Any) -> Any:
        return node


class _Binding(ConditionExpressionParser):
    """Makes a syntax tree executable with the values of one call."""

    def _make_operand(self, node: Any) -> Any:
        if node.kind == self.Kind.EXPRESSION_ATTRIBUTE_VALUE:
            node = node._replace(value=self._lookup_expression_attribute_value(node.text))
        return super()._make_operand(node)


_parse_condition = ConditionExpressionParser.parse
_make_update = UpdateExpressionParser.make.__func__


@functools.lru_cache(_PARSED_EXPRESSIONS)
def _condition_tree(
    expression: str, names: tuple[tuple[str, str], ...], values: tuple[str, ...]
) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    parser = _Tree(expression, dict(names), {name: {"S": name} for name in values})
    tree = _parse_condition(parser)
    return tree, tuple(parser.expr_attr_names_found), tuple(parser.expr_attr_values_found)


class _Condition:
    """A condition that is put together with its values when an item is held against it; many never are."""

    def __init__(self, parser: ConditionExpressionParser, tree: Any) -> None:
        self._parser, self._tree = parser, tree

    def expr(self, item: Item | None) -> bool:
        return bool(self._parser._make_op_condition(self._tree).expr(item))


def _parse_condition_once(self: ConditionExpressionParser) -> Any:
    if not self.condition_expression:
        return _parse_condition(self)
    names, values = self.expression_attribute_names or {}, self.expression_attribute_values or {}
    tree, names_found, values_found = _condition_tree(self.condition_expression, tuple(names.items()), tuple(values))
    self.expr_attr_names_found.extend(names_found)
    self.expr_attr_values_found.extend(values_found)
    return _Condition(_Binding(self.condition_expression, names, values), tree)


@functools.lru_cache(_PARSED_EXPRESSIONS)
def _update_tree(expression: str) -> Any:
    tree = _make_update(UpdateExpressionParser, expression)
    tree.apex_pickled, tree.apex_plan = pickle.dumps(tree), plan(tree)
    return tree


def _validator_init(
    self: Validator,
    expression: Any,
    expression_attribute_names: dict[str, str],
    expression_attribute_values: dict[str, dict[str, Any]],
    item: Item,
    table: Table,
) -> None:
    self.expression_attribute_names = expression_attribute_names
    self.expression_attribute_values = expression_attribute_values
    self.item, self.table = item, table
    self.processors = self.get_ast_processors()
    # Validation alters the tree; unpickling is the quickest way to a fresh one.
    self.node_to_validate = pickle.loads(expression.apex_pickled)  # noqa: S301 # pickled above, never from outside


def _install_update_plans() -> Undo:
    apply_expression = dynamodb.apply_expression

    def apply_plan(table: Table, item: Item, expression: str, names: dict[str, Any], values: dict[str, Any]) -> None:
        prepared = _update_tree(expression).apex_plan
        if prepared is not None:
            try:
                prepared.apply(item, names, values, set(table.attribute_keys))
            except Declined:
                pass  # moto knows how, or why not
            else:
                return
        apply_expression(table, item, expression, names, values)

    return replace((dynamodb, "apply_expression", apply_plan))


# ── sizes are looked at once, queries look at one partition ─────────────────────────────────────────────────


def _set_attribute(self: LimitedSizeDict, name: str, value: Any) -> None:
    dict.__setitem__(self, name, value)


def _partition_view(table: Table, matching: Mapping[str, DynamoType]) -> Table:
    """The same table holding only the items whose attributes are those of ``matching``."""
    view: Table = object.__new__(Table)
    view.__dict__.update(table.__dict__)
    view.items = defaultdict(dict)
    if set(matching) == {table.hash_key_attr}:
        partition = matching[table.hash_key_attr]
        if (held := table.items.get(partition)) is not None:
            view.items[partition] = held
        return view
    for partition, held in table.items.items():
        if not table.has_range_key:
            if _matches(held, matching):  # without a sort key moto holds the item itself
                view.items[partition] = held
        elif found := {sort: item for sort, item in held.items() if _matches(item, matching)}:
            view.items[partition] = found
    return view


def _matches(item: Item, matching: Mapping[str, DynamoType]) -> bool:
    return all(name in item.attrs and item.attrs[name] == value for name, value in matching.items())


def _in_range(view: Table, partition: DynamoType, comparison: str, values: Sequence[DynamoType]) -> None:
    """Leave only the items of a partition whose sort keys are asked for, in their order."""
    meets, bounds = get_comparison_func(comparison), [value.cast_value for value in values]
    found = [item for item in view.items[partition].values() if meets(item.range_key.cast_value, *bounds)]
    view.items[partition] = {item.range_key: item for item in sorted(found, key=lambda item: item.range_key.cast_value)}


def _install_partition_queries() -> Undo:
    query = Table.query

    def query_partition(
        table: Table,
        hash_key: DynamoType | None,
        comparison: str | None,
        values: Sequence[DynamoType],
        limit: int | None,
        *rest: Any,
        **options: Any,
    ) -> Any:
        matching = dict(options.get("hash_key_conditions") or {})
        index = options.get("index_name") or (rest[3] if len(rest) > 3 else None)
        if not matching and hash_key is not None and not index:
            matching = {table.hash_key_attr: hash_key}
        if not matching:
            return query(table, hash_key, comparison, values, limit, *rest, **options)
        view = _partition_view(table, matching)
        # With a limit, whether there is a next page depends on the items out of range too.
        if comparison and not (index or limit) and hash_key in view.items:
            _in_range(view, hash_key, comparison, values)
        return query(view, hash_key, comparison, values, limit, *rest, **options)

    return replace((Table, "query", query_partition))


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "dynamodb-direct-calls",
        "Every call within the process is signed, written as an HTTP message and parsed again: a millisecond or more. "
        "Data calls go straight to moto's handlers instead.",
        lambda: answer_directly("dynamodb", DynamoHandler, _DATA_CALLS),
    ),
    Repair(
        "dynamodb-parse-once",
        "Condition and update expressions are parsed anew for every call, conditions up to three times.",
        lambda: replace(
            (ConditionExpressionParser, "parse", _parse_condition_once),
            (UpdateExpressionParser, "make", staticmethod(_update_tree)),
            (Validator, "__init__", _validator_init),
        ),
    ),
    Repair(
        "dynamodb-update-plans",
        "An update expression's syntax tree is walked a dozen times for each call, however simple it is.",
        _install_update_plans,
    ),
    Repair(
        "dynamodb-size-once",
        "Setting an attribute adds up the sizes of all others, and by rules that are not DynamoDB's; "
        "the whole item is measured once, when it is stored.",
        lambda: replace((LimitedSizeDict, "__setitem__", _set_attribute)),
    ),
    Repair(
        "dynamodb-partition-queries",
        "A query sorts and reads every item of the table, however small its partition.",
        _install_partition_queries,
    ),
)
