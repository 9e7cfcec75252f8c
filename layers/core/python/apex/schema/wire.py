"""The two model bases and the frozen JSON types that every document on the wire is made of.

`WireModel` speaks camelCase to the apps, `RecordModel` snake_case in the journal. Both are frozen, refuse
unknown fields and leave out optional fields that have no value: None is how Python says "absent", and null is
never emitted for it.

`FrozenJson` (an object) and `FrozenValue` (any JSON value) are field types for data that belongs to somebody
else: payloads, baggage, tool inputs and results. Their keys are never renamed, their numbers never converted,
and what was stored cannot be changed through any reference to it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, NoReturn, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

# Deep enough for any honest document, shallow enough that no recursive reader runs out of stack.
MAX_DEPTH = 64


# ── frozen JSON ─────────────────────────────────────────────────────────────────────────────────────────────


def _refuse(self: object, *_args: object, **_kwargs: object) -> NoReturn:
    raise TypeError(f"{type(self).__name__} is frozen: thaw() makes a copy that can be changed")


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed: equal to the same plain dict, hashable, still a dict to `json.dumps`.

    Made by `freeze`, which freezes what is inside too.
    """

    __slots__ = ()

    def __new__(cls, items: Mapping[str, Any] | None = None) -> Self:
        """Filled here and not in ``__init__``, which can be called a second time on a finished object."""
        self = super().__new__(cls)
        dict.update(self, items or {})
        return self

    def __init__(self, items: Mapping[str, Any] | None = None) -> None:
        pass

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (dict(self),)

    def __repr__(self) -> str:
        return f"FrozenDict({dict.__repr__(self)})"

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class FrozenList(list[Any]):
    """A list that cannot be changed: equal to the same plain list, hashable, still a list to `json.dumps`."""

    __slots__ = ()

    def __new__(cls, items: Any = ()) -> Self:
        """Filled here and not in ``__init__``, for the same reason."""
        self = super().__new__(cls)
        list.extend(self, items)
        return self

    def __init__(self, items: Any = ()) -> None:
        pass

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (list(self),)

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse


def freeze(value: Any) -> Any:
    """A deeply frozen copy of a JSON value: `FrozenDict`, `FrozenList`, str, int, float, bool or None.

    Tuples become lists; subclasses of the JSON types (such as enums of strings) become the plain type.

    Raises:
        ValueError: naming every place that is not JSON: NaN and infinities, keys that are not strings, other
            types, text that is not valid Unicode, nesting deeper than `MAX_DEPTH`.
    """
    problems: list[str] = []
    frozen = _freeze(value, "", 0, problems)
    if problems:
        raise ValueError("; ".join(problems))
    return frozen


def thaw(value: Any) -> Any:
    """A deep copy of a frozen value made of plain dicts and lists, free to be changed."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    return value


def _freeze(value: Any, path: str, depth: int, problems: list[str]) -> Any:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value, path, problems)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            problems.append(f"{path or 'value'} is {value}, which is not a JSON number")
        return float(value)
    if isinstance(value, (Mapping, list, tuple)):
        if depth >= MAX_DEPTH:
            problems.append(f"{path[:60]}... is nested deeper than {MAX_DEPTH} levels")
            return None
        if isinstance(value, Mapping):
            return FrozenDict(dict(_freeze_items(value, path, depth, problems)))
        return FrozenList([_freeze(item, f"{path}[{index}]", depth + 1, problems) for index, item in enumerate(value)])
    problems.append(f"{path or 'value'} is of type {type(value).__name__}, which JSON does not have")
    return None


def _freeze_items(value: Mapping[Any, Any], path: str, depth: int, problems: list[str]) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        inner = f"{path}.{key}" if path else str(key)
        if isinstance(key, str):
            yield _text(key, inner, problems), _freeze(item, inner, depth + 1, problems)
        else:
            problems.append(f"{inner} has a key of type {type(key).__name__}, JSON keys are strings")


def _text(value: str, path: str, problems: list[str]) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            problems.append(f"{ascii(path) if path else 'value'} holds text that is not valid Unicode")
    return str.__str__(value)


def _freeze_object(value: Any) -> FrozenDict:
    if not isinstance(value, Mapping):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic takes only ValueError for a problem
    frozen = freeze(value)
    assert isinstance(frozen, FrozenDict)  # noqa: S101 - a mapping always freezes to one
    return frozen


class _FrozenObject:
    """Keeps a field as a `FrozenDict`; the static type stays Mapping, so plain dicts may be given."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_freeze_object)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "object"}


FrozenJson = Annotated[Mapping[str, Any], _FrozenObject()]
FrozenValue = Annotated[Any, BeforeValidator(freeze)]


# ── model bases ─────────────────────────────────────────────────────────────────────────────────────────────


class _Document(BaseModel):
    """What both bases share: frozen, nothing unknown, absent stays absent."""

    _optional_keys: ClassVar[tuple[tuple[str, str], ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._optional_keys = tuple(
            (name, field.serialization_alias or name)
            for name, field in cls.model_fields.items()
            if not field.is_required() and field.default is None and field.default_factory is None
        )

    @model_serializer(mode="wrap")
    def _leave_out_absent(self, handler: SerializerFunctionWrapHandler) -> Any:
        document = handler(self)
        for name, alias in self._optional_keys:
            if getattr(self, name) is None:
                document.pop(alias, None)
                document.pop(name, None)
        return document

    def to_wire(self) -> dict[str, Any]:
        """The document as plain JSON data (dict, list, str, int, float, bool, None), ready for `json.dumps`.

        Reading it back with `model_validate` gives an equal document.
        """
        return self.model_dump(mode="json")


class WireModel(_Document):
    """Base of documents shared with the apps: camelCase out, both spellings in."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )


class RecordModel(_Document):
    """Base of documents that stay inside, such as journal events: snake_case in and out."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def problems_of(error: ValidationError) -> list[str]:
    """Every problem of a pydantic error as ``path: what is wrong``; without values, which may be secret."""
    return [
        f"{_path(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _path(parts: tuple[int | str, ...]) -> str:
    return ".".join(map(str, parts)) or "document"
