"""DynamoDB items outside moto: their wire form, their keys as text and their size by AWS's rules.

The wire form is DynamoDB JSON as it travels over HTTP and as Lambda receives it: ``{"S": "x"}``, numbers as text,
binary values in base64. Items are stored in this form, and nothing is lost on the way there and back.
"""

import base64
import json
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table

Wire = dict[str, Any]

_NUMBERS = Context(prec=38)  # the precision DynamoDB keeps; Python's default would round longer keys together


def _base64(value: bytes | str) -> str:
    # moto keeps binary values as bytes at the top level of an item and as base64 text below it.
    return value if isinstance(value, str) else base64.b64encode(value).decode("ascii")


def attribute_to_wire(attribute: DynamoType) -> Wire:
    """One attribute value in wire form, nested values included."""
    kind, value = attribute.type, attribute.value
    if kind == "M":
        return {"M": {name: attribute_to_wire(nested) for name, nested in value.items()}}
    if kind == "L":
        return {"L": [attribute_to_wire(nested) for nested in value]}
    if kind == "B":
        return {"B": _base64(value)}
    if kind == "BS":
        return {"BS": [_base64(member) for member in value]}
    return {kind: list(value) if kind in ("SS", "NS") else value}


def item_to_wire(item: Item) -> dict[str, Wire]:
    """All attributes of an item in wire form, by attribute name."""
    return {name: attribute_to_wire(value) for name, value in item.attrs.items()}


def _from_wire(wire: Wire) -> Wire:
    """What moto holds for a top-level attribute: binary values as bytes there, the rest as it came."""
    kind, value = next(iter(wire.items()))
    if kind == "B":
        return {"B": base64.b64decode(value)}
    if kind == "BS":
        return {"BS": [base64.b64decode(member) for member in value]}
    return wire


def item_from_wire(table: Table, wire: Mapping[str, Wire]) -> Item:
    """The item that :func:`item_to_wire` was given, as moto would hold it in ``table``."""
    attributes = {name: DynamoType(_from_wire(value)) for name, value in wire.items()}
    sort = attributes[table.range_key_attr] if table.range_key_attr else None
    return new_item(attributes[table.hash_key_attr], sort, attributes)


def new_item(partition: DynamoType, sort: DynamoType | None, attributes: Mapping[str, DynamoType]) -> Item:
    """An item of ready-made attributes, without moto's size check per attribute (quadratic in their number)."""
    item = Item(partition, sort, {})
    held = LimitedSizeDict()
    dict.update(held, attributes)
    item.attrs = held
    return item


def key_text(key: DynamoType | None) -> str:
    """A key attribute as text that is equal exactly when DynamoDB holds the keys for equal (``1`` and ``1.0`` are)."""
    if key is None:
        return ""
    if key.type == "N":
        return "N" + str(_NUMBERS.plus(Decimal(key.value)).normalize(_NUMBERS) + 0)
    return str(key.type) + (_base64(key.value) if key.type == "B" else key.value)


def wire_text(wire: Any) -> str:
    """JSON text without spaces; non-ASCII text stays readable."""
    return json.dumps(wire, separators=(",", ":"), ensure_ascii=False)


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────────────────


def _number_bytes(text: str) -> int:
    """A number takes one byte for two significant digits and one more, and one more below zero (at most 21)."""
    sign, digits, _ = Decimal(text).as_tuple()
    significant = len("".join(map(str, digits)).strip("0"))
    return min(21, (significant + 1) // 2 + 1 + sign)


def _binary_bytes(value: bytes | str) -> int:
    return len(base64.b64decode(value)) if isinstance(value, str) else len(value)


def attribute_bytes(attribute: DynamoType) -> int:
    """Bytes that one attribute value counts for, its name not included."""
    kind, value = attribute.type, attribute.value
    if kind == "S":
        return len(value.encode())
    if kind == "N":
        return _number_bytes(value)
    if kind == "B":
        return _binary_bytes(value)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + attribute_bytes(nested) for name, nested in value.items())
    if kind == "L":
        return 3 + sum(1 + attribute_bytes(nested) for nested in value)
    return sum(attribute_bytes(DynamoType({kind[0]: member})) for member in value)


def item_bytes(item: Item | None) -> int:
    """Bytes that an item counts for when DynamoDB meters it: names and values; 0 when there is no item."""
    if item is None:
        return 0
    return sum(len(name.encode()) + attribute_bytes(value) for name, value in item.attrs.items())
