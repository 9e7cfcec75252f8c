"""The usual update expressions, compiled: whole attributes set, counted up or removed.

moto walks the syntax tree of an update expression a dozen times for each call. Most expressions only set attributes at
the top of an item (``SET #a = :x, n = n + :one, t = if_not_exists(t, :now) REMOVE b``). :func:`plan` turns such a tree
into steps that are quick to carry out, once per expression. Whatever is not of this kind, or cannot be carried out on
the item at hand, is declined, and moto does it, or finds the right error, as it always did.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.parsing import ast_nodes as nodes
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

Names = Mapping[str, str]
Values = Mapping[str, Mapping[str, Any]]
Operand = Callable[[Item, Names, Values], DynamoType]


class Declined(Exception):
    """The expression, or this item, is not a matter for a plan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to set and what to remove; attributes are names or ``#`` placeholders as written."""

    assignments: tuple[tuple[str, Operand], ...]
    removals: tuple[str, ...]

    def apply(self, item: Item, names: Names, values: Values, untouchable: set[str]) -> None:
        """Change ``item``, or raise ``Declined`` before anything is changed.

        ``untouchable`` are the key attributes of the table and its indexes: their changes have rules of their own.
        """
        targets = [_resolve(name, names) for name, _ in self.assignments]
        gone = [_resolve(name, names) for name in self.removals]
        touched = {*targets, *gone}
        if touched & untouchable or len(touched) < len(targets) + len(gone):
            raise Declined
        results = [operand(item, names, values) for _, operand in self.assignments]
        for name, result in zip(targets, results, strict=True):
            item.attrs[name] = result
        for name in gone:
            item.attrs.pop(name, None)


def plan(tree: Any) -> Plan | None:
    """The plan of a parsed update expression; ``None`` if it does more than plans can."""
    try:
        return _plan(tree)
    except Declined:
        return None


def _plan(tree: Any) -> Plan:
    assignments: list[tuple[str, Operand]] = []
    removals: list[str] = []
    clauses = _clauses(tree)
    if len({type(clause) for clause in clauses}) < len(clauses):
        raise Declined
    for clause in clauses:
        if isinstance(clause, nodes.UpdateExpressionSetClause):
            for action in _actions(clause):
                target, value = action.children
                assignments.append((_top_level(target), _value(value.children)))
        elif isinstance(clause, nodes.UpdateExpressionRemoveClause):
            removals.extend(_top_level(action.children[0]) for action in _actions(clause))
        else:
            raise Declined
    return Plan(tuple(assignments), tuple(removals))


def _clauses(tree: Any) -> list[Any]:
    found: list[Any] = []
    for child in tree.children:
        # Clauses are subclasses of the node that chains them.
        found.extend(_clauses(child) if type(child) is nodes.UpdateExpression else [child])
    return found


def _actions(clause: Any) -> list[Any]:
    found: list[Any] = []
    for child in clause.children:
        is_action = isinstance(child, (nodes.UpdateExpressionSetAction, nodes.UpdateExpressionRemoveAction))
        found.extend([child] if is_action else _actions(child))
    return found


def _top_level(path: Any) -> str:
    if not isinstance(path, nodes.UpdateExpressionPath) or len(path.children) != 1:
        raise Declined
    name = str(path.children[0].children[0])
    if not name.startswith("#") and name.upper() in ReservedKeywords.get_reserved_keywords():
        raise Declined
    return name


def _resolve(name: str, names: Names) -> str:
    if not name.startswith("#"):
        return name
    if name not in names:
        raise Declined
    return names[name]


def _value(parts: list[Any]) -> Operand:
    if len(parts) == 1:
        return _operand(parts[0])
    if len(parts) != 3:
        raise Declined
    left, sign, right = _operand(parts[0]), parts[1].children[0], _operand(parts[2])

    def calculate(item: Item, names: Names, values: Values) -> DynamoType:
        first, second = left(item, names, values), right(item, names, values)
        if not (first.is_number() and second.is_number()):
            raise Declined
        try:
            return first + second if sign == "+" else first - second
        except ValueError:
            raise Declined from None

    return calculate


def _operand(node: Any) -> Operand:
    if isinstance(node, nodes.ExpressionAttributeValue):
        return _given(str(node.children[0]))
    if isinstance(node, nodes.UpdateExpressionPath):
        return _held(_top_level(node))
    if isinstance(node, nodes.UpdateExpressionFunction) and node.children[0] == "if_not_exists":
        return _held(_top_level(node.children[1]), _operand(node.children[2]))
    raise Declined


def _given(name: str) -> Operand:
    def look_up(_item: Item, _names: Names, values: Values) -> DynamoType:
        if name not in values:
            raise Declined
        return DynamoType(dict(values[name]))

    return look_up


def _held(name: str, otherwise: Operand | None = None) -> Operand:
    def look_up(item: Item, names: Names, values: Values) -> DynamoType:
        value = item.attrs.get(_resolve(name, names))
        if value is not None:
            return copy.deepcopy(value)
        if otherwise is None:
            raise Declined
        return otherwise(item, names, values)

    return look_up
