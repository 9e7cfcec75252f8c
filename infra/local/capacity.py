"""Read and write units by DynamoDB's published rules, from the sizes of the items that a call touches.

A write costs one unit per 1 KB begun of the larger of the item before and after it, and the same again for each index
entry that it adds, changes or removes. A read costs half a unit per 4 KB begun, a consistent one a whole unit. In a
transaction everything costs twice. Nothing costs less than one piece, not even what is not there.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import SecondaryIndex, Table

from infra.local.items import item_bytes

_WRITE_BYTES, _READ_BYTES = 1024, 4096


def write_units(*items: Item | None) -> float:
    """Units of a write that finds or leaves these items, by the largest of them."""
    return float(max(1, math.ceil(max(item_bytes(item) for item in items) / _WRITE_BYTES)))


def read_units(size: int, *, consistent: bool) -> float:
    """Units of a read of so many bytes, which may be several items of one query."""
    return max(1, math.ceil(size / _READ_BYTES)) * (1.0 if consistent else 0.5)


def index_units(index: SecondaryIndex, old: Item | None, new: Item | None) -> float:
    """Units that an index consumes when an item of its table changes."""
    before, after = _entry(index, old), _entry(index, new)
    if before is None or after is None:
        return 0.0 if before is after else write_units(before, after)
    if any(before.attrs[key] != after.attrs[key] for key in index.schema_key_attrs):
        return write_units(before) + write_units(after)
    return 0.0 if before.attrs == after.attrs else write_units(before, after)


def _entry(index: SecondaryIndex, item: Item | None) -> Item | None:
    if item is None or any(key not in item.attrs for key in index.schema_key_attrs):
        return None
    entry: Item = index.project(item)
    return entry


@dataclass
class Bill:
    """The units of one call on one table; ``factor`` is 2 in a transaction."""

    table: Table
    factor: float = 1.0
    base: float = 0.0
    indexes: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def write(self, old: Item | None, new: Item | None) -> None:
        """Charge one write and what it does to the indexes."""
        self.base += self.factor * write_units(old, new)
        for index in self.table.all_indexes():
            if units := index_units(index, old, new):
                self.indexes[index.name] += self.factor * units

    def read(self, size: int, *, consistent: bool, index: str | None = None) -> None:
        """Charge one read, from an index if one is named."""
        units = self.factor * read_units(size, consistent=consistent)
        if index is None:
            self.base += units
        else:
            self.indexes[index] += units

    def to_json(self, *, by_index: bool) -> dict[str, Any]:
        """The bill as ``ConsumedCapacity`` has it; ``by_index`` splits it up."""
        total = {"TableName": self.table.name, "CapacityUnits": self.base + sum(self.indexes.values())}
        if not by_index:
            return total
        return {**total, "Table": {"CapacityUnits": self.base}, **_by_kind(self.table.indexes, self.indexes)}


def _by_kind(local: Sequence[SecondaryIndex], units: dict[str, float]) -> dict[str, Any]:
    local_names = {index.name for index in local}
    split: dict[str, Any] = {}
    for name, consumed in units.items():
        kind = "LocalSecondaryIndexes" if name in local_names else "GlobalSecondaryIndexes"
        split.setdefault(kind, {})[name] = {"CapacityUnits": consumed}
    return split
