"""DynamoDB's values: almost all are plain texts and numbers, and are treated so before anything else is considered."""

import copy
from decimal import Decimal
from typing import Any

from moto.dynamodb import responses
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends, utilities
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.responses import DynamoHandler, DynamoResult

from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_patching import replace

_NESTED = frozenset({"L", "M"})
_AS_THEY_ARE = frozenset({"S", "B", "BOOL"})

_cast = DynamoType.cast_value.fget
_size = DynamoType.size
_deepcopy = DynamoType.__deepcopy__
_to_dict = utilities.dynamo_to_dict


def _init(self: DynamoType, given: Any) -> None:
    if type(given) is DynamoType:
        self.type, self.value = given.type, given.value
    else:
        self.type, self.value = next(iter(given.items()))
    if self.type in _NESTED:
        if self.type == "L":
            self.value = [DynamoType(item) for item in self.value]
        else:
            self.value = {name: DynamoType(item) for name, item in self.value.items()}


def _cast_value(self: DynamoType) -> Any:
    if self.type in _AS_THEY_ARE:
        return self.value
    return Decimal(self.value) if self.type == "N" else _cast(self)


def _equals(self: DynamoType, other: DynamoType) -> bool:
    return self.type == other.type and (
        self.value == other.value if self.type == "S" else bool(self.cast_value == other.cast_value)
    )


def _differs(self: DynamoType, other: DynamoType) -> bool:
    return not _equals(self, other)


def _hash(self: DynamoType) -> int:
    return hash((self.type, self.value if self.type == "S" else self.cast_value))


def _size_of(self: DynamoType) -> int:
    return len(self.value.encode()) if self.type == "S" else int(_size(self))


def _copy_value(self: DynamoType, memo: dict[int, Any]) -> DynamoType:
    if self.type not in {"S", "N"}:
        return _deepcopy(self, memo)
    copied: DynamoType = object.__new__(DynamoType)
    copied.type, copied.value = self.type, self.value
    return copied


def _copy_item(self: Item, memo: dict[int, Any]) -> Item:
    copied: Item = object.__new__(Item)
    copied.hash_key = copy.deepcopy(self.hash_key, memo)
    copied.range_key = copy.deepcopy(self.range_key, memo)
    copied.attrs = LimitedSizeDict()
    for name, value in self.attrs.items():
        dict.__setitem__(copied.attrs, name, value.__deepcopy__(memo))
    return copied


def _as_dict(value: Any) -> Any:
    """What moto answers, as plain data: by the kinds of values that make up nearly all of it, then as moto does."""
    kind = type(value)
    if kind is DynamoType and value.type in {"S", "N"}:
        return {value.type: value.value}
    if kind is dict or kind is LimitedSizeDict:
        return {name: _as_dict(item) for name, item in value.items()}
    if kind is list:
        return [_as_dict(item) for item in value]
    return value if kind is str else _to_dict(value)


def _init_result(self: DynamoResult, result: object) -> None:
    super(DynamoResult, self).__init__(_as_dict(result))


def _backend(self: DynamoHandler) -> DynamoDBBackend:
    """The backend of the call, looked up once: a handler lives as long as its call."""
    known: DynamoDBBackend | None = self.__dict__.get("apex_backend")
    if known is None:
        known = self.__dict__["apex_backend"] = dynamodb_backends[self.current_account][self.region]
    return known


def _install() -> Undo:
    return replace(
        (DynamoType, "__init__", _init),
        (DynamoType, "cast_value", property(_cast_value)),
        (DynamoType, "__eq__", _equals),
        (DynamoType, "__ne__", _differs),
        (DynamoType, "__hash__", _hash),
        (DynamoType, "size", _size_of),
        (DynamoType, "__deepcopy__", _copy_value),
        (Item, "__deepcopy__", _copy_item),
        (responses.DynamoResult, "__init__", _init_result),
        (DynamoHandler, "dynamodb_backend", property(_backend)),
    )


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "dynamodb-quick-values",
        "Every value is asked a dozen times whether it is a list, a map or a set, and every step of a call looks up "
        "the account's tables again.",
        _install,
    ),
)
