"""The parameters of a boto3 call: checked as boto3 checks them and copied, in one walk instead of two.

For each operation the checks are put together once, from its model. They know only what is right; whatever else comes
is left to botocore's own validator, which words the error or accepts it.
"""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ParamValidationError
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.validate import ParamValidator

Copier = Callable[[Any], Any]
"""Answers a copy that shares nothing changeable with the value it is given."""

_SCALARS = {"boolean": bool, "integer": int, "long": int, "blob": bytes}


class _UnusualError(Exception):
    """The quick checks do not know the value for right."""


def copier(operation: OperationModel) -> Copier:
    """Checks and copies the parameters of the operation; it raises ``ParamValidationError`` as boto3 does."""
    shape = operation.input_shape
    if shape is None:
        return _copy
    quick = _of(shape, {})

    def check(params: Any) -> Any:
        try:
            return quick(params)
        except _UnusualError:
            report = ParamValidator().validate(params, shape)
            if report.has_errors():
                raise ParamValidationError(report=report.generate_report()) from None
            return _copy(params)

    return check


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(nested) for name, nested in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(nested) for nested in value]
    return bytes(value) if isinstance(value, bytearray) else value


def _of(shape: Shape, known: dict[str, Copier]) -> Copier:
    if shape.name in known:
        return known[shape.name]
    if isinstance(shape, StructureShape):
        return _structure(shape, known)
    if isinstance(shape, MapShape):
        return _map(_of(shape.key, known), _of(shape.value, known))
    if isinstance(shape, ListShape):
        return _list(_of(shape.member, known), int(shape.metadata.get("min", 0)))
    if shape.type_name == "string":
        return _string(int(shape.metadata.get("min", 0)))
    is_number = shape.type_name in {"integer", "long"}
    return _scalar(_SCALARS.get(shape.type_name), shape.metadata.get("min") if is_number else None)


def _structure(shape: StructureShape, known: dict[str, Copier]) -> Copier:
    members: dict[str, Copier] = {}
    required = frozenset(shape.metadata.get("required", ()))
    is_odd = shape.is_document_type or shape.is_tagged_union

    def copy(value: Any) -> Any:
        if type(value) is not dict or is_odd or not required <= value.keys() <= members.keys():
            raise _UnusualError
        return {name: members[name](nested) for name, nested in value.items()}

    # Known before its members: structures may hold themselves.
    known[shape.name] = copy
    members.update((name, _of(member, known)) for name, member in shape.members.items())
    return copy


def _map(key: Copier, item: Copier) -> Copier:
    def copy(value: Any) -> Any:
        if type(value) is not dict:
            raise _UnusualError
        return {key(name): item(nested) for name, nested in value.items()}

    return copy


def _list(member: Copier, least: int) -> Copier:
    def copy(value: Any) -> Any:
        if type(value) not in {list, tuple} or len(value) < least:
            raise _UnusualError
        return [member(nested) for nested in value]

    return copy


def _string(least: int) -> Copier:
    def copy(value: Any) -> Any:
        if type(value) is not str or len(value) < least:
            raise _UnusualError
        return value

    return copy


def _scalar(kind: type | None, least: Any) -> Copier:
    def copy(value: Any) -> Any:
        if type(value) is not kind or (least is not None and value < least):
            raise _UnusualError
        return value

    return copy
