"""Does a step's input fit its tool's JSON Schema, when parts of it become known only as the plan runs?

A reference stands for "any value of the referenced field's type". It is refused where the output schema of
the step it points to shows that it cannot fit; what the schemas leave open is decided when the input is
resolved. Messages name places and rules, never the values found there: those may be secret.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from apex.workflow.references import Reference, parse_text

Schema = Mapping[str, Any] | bool
Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]

_JSON_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (Mapping, "object"),
    (list, "array"),
    (type(None), "null"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Later:
    """A value that is known only when the plan runs. ``types`` are the JSON types it may have; None: any."""

    text: str
    types: frozenset[str] | None


# ── what an output schema says about a field ────────────────────────────────────────────────────────────────


def field_types(schema: Schema, path: Sequence[str | int]) -> tuple[frozenset[str] | None, str | None]:
    """The JSON types a field of a result can have (None: any), and the path's problem, if any."""
    root = schema
    forms = list(_forms(schema, root))
    for part in path:
        inner = [member for form in forms for member in _members(form, part)]
        if not inner:
            return None, _no_member(forms, part)
        forms = [form for member in inner for form in _forms(member, root)]
    types: set[str] = set()
    for form in forms:
        of_form = _types(form)
        if of_form is None:
            return None, None
        types |= of_form
    return frozenset(types), None


def _forms(schema: Schema, root: Schema, depth: int = 0) -> Iterator[Schema]:
    """The schema without indirections: local ``$ref`` followed, every branch of a union on its own."""
    if isinstance(schema, bool) or depth > 32:  # a schema that only refers to itself says nothing
        yield bool(schema)
        return
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    if "$ref" in schema:
        branches.append(_at(root, schema["$ref"]))
    if branches:
        for branch in branches:
            yield from _forms(branch, root, depth + 1)
    else:
        yield schema


def _at(root: Schema, pointer: str) -> Schema:
    """What a local pointer points to. One that leads nowhere says nothing about the value: anything goes."""
    node: Any = root
    for part in pointer.removeprefix("#").split("/")[1:] if pointer.startswith("#") else ["elsewhere"]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, Mapping) or name not in node:
            return True
        node = node[name]
    found: Schema = node
    return found


def _members(form: Schema, part: str | int) -> list[Schema]:
    """The schemas of a field or list position of one form; empty where it has none."""
    if isinstance(form, bool):
        return [form] if form else []
    types = _types(form)
    if types is not None and ("array" if isinstance(part, int) else "object") not in types:
        return []
    if isinstance(part, int):
        fixed = form.get("prefixItems", ())
        member = fixed[part] if part < len(fixed) else form.get("items", True)
    else:
        member = form.get("properties", {}).get(part, form.get("additionalProperties", True))
    return [] if member is False else [member]


def _no_member(forms: Sequence[Schema], part: str | int) -> str:
    if isinstance(part, int):
        return f"has no position {part} there"
    names = sorted({name for form in forms if isinstance(form, Mapping) for name in form.get("properties", ())})
    return f"has no field {part} there{closest(part, names)}"


def _types(form: Schema) -> frozenset[str] | None:
    if isinstance(form, bool):
        return None
    if "type" in form:
        named = form["type"]
        return frozenset([named] if isinstance(named, str) else named)
    if "const" in form or "enum" in form:
        return frozenset(map(_type_of, [form["const"]] if "const" in form else form["enum"]))
    return None


def _type_of(value: Any) -> str:
    return next(name for kind, name in _JSON_TYPES if isinstance(value, kind))


def closest(name: str, known: Sequence[str]) -> str:
    """`` (did you mean x?)`` for the most similar known name, or nothing."""
    similar = get_close_matches(name.lower(), [item.lower() for item in known], n=1, cutoff=0.6)
    return next((f" (did you mean {item}?)" for item in known if similar and item.lower() == similar[0]), "")


# ── the input against the input schema ──────────────────────────────────────────────────────────────────────


def with_placeholders(value: Any, types_of: Callable[[Reference], frozenset[str] | None]) -> Any:
    """The input with every text that holds a reference replaced by ``Later``, and escaped braces resolved."""
    if isinstance(value, Mapping):
        return {key: with_placeholders(item, types_of) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_placeholders(item, types_of) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    pieces = parse_text(value)
    references = [piece for piece in pieces if isinstance(piece, Reference)]
    if not references:
        return "".join(str(piece) for piece in pieces)
    if len(pieces) == 1:
        return Later(references[0].text, types_of(references[0]))
    return Later("the text with " + " and ".join(piece.text for piece in references), frozenset({"string"}))


class InputSchema:
    """A JSON Schema that knows about ``Later``."""

    def __init__(self, schema: Schema) -> None:
        # An empty registry, because the library's default one would fetch unknown addresses over the network.
        self._validator = _Validator(schema, registry=Registry(), format_checker=_FORMATS)

    def misfits(self, value: Any) -> list[str]:
        """Everything about an input that does not fit, each problem with its place."""
        try:
            errors = list(self._validator.iter_errors(value))
        except Unresolvable as error:
            return [f"input: the tool's schema refers to {error.ref}, which is not in it"]
        return list(dict.fromkeys(problem for error in errors for problem in _problems(error)))


def _is_open(value: Any) -> bool:
    """True where some part is known only later."""
    if isinstance(value, Mapping):
        return any(map(_is_open, value.values()))
    return any(map(_is_open, value)) if isinstance(value, list) else isinstance(value, Later)


def _may_be(types: frozenset[str] | None, wanted: frozenset[str]) -> bool:
    if types is None:
        return True
    numbers = frozenset({"integer", "number"})  # a number may turn out to be whole, a whole number is a number
    return bool(types & wanted) or bool(types & numbers and wanted & numbers)


def _type(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, Later):
        yield from Draft202012Validator.VALIDATORS["type"](validator, wanted, value, schema) or ()
    elif not _may_be(value.types, frozenset([wanted] if isinstance(wanted, str) else wanted)):
        yield ValidationError("the referenced field has another type")


def _choice(keyword: str) -> Keyword:
    def check(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        members = allowed if keyword == "enum" else [allowed]
        if not _is_open(value):
            yield from Draft202012Validator.VALIDATORS[keyword](validator, allowed, value, schema) or ()
        elif isinstance(value, Later) and not _may_be(value.types, frozenset(map(_type_of, members))):
            yield ValidationError("the referenced field has another type")

    return check


def _one_of(validator: Any, branches: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    # With parts still open, several branches may look possible; that exactly one holds is known later.
    keyword = "anyOf" if _is_open(value) else "oneOf"
    yield from Draft202012Validator.VALIDATORS[keyword](validator, branches, value, schema) or ()


def _when_known(keyword: str) -> Keyword:
    def check(validator: Any, rule: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if not _is_open(value):
            yield from Draft202012Validator.VALIDATORS[keyword](validator, rule, value, schema) or ()

    return check


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "type": _type,
        "enum": _choice("enum"),
        "const": _choice("const"),
        "oneOf": _one_of,
        **{keyword: _when_known(keyword) for keyword in ("not", "if", "contains", "uniqueItems")},
    },
)

_FORMATS = FormatChecker(formats=())
for _name, _reader in (
    ("date", date.fromisoformat),
    ("date-time", datetime.fromisoformat),
    ("uuid", UUID),
):
    _FORMATS.checks(_name, raises=ValueError)(
        lambda value, read=_reader: not isinstance(value, str) or read(value) is not None
    )


# ── what to tell about it ───────────────────────────────────────────────────────────────────────────────────

_RULES = {
    "minimum": "must be at least {0}",
    "maximum": "must be at most {0}",
    "exclusiveMinimum": "must be above {0}",
    "exclusiveMaximum": "must be below {0}",
    "multipleOf": "must be a multiple of {0}",
    "minLength": "must have at least {0} characters",
    "maxLength": "must have at most {0} characters",
    "pattern": "must match the pattern {0}",
    "format": "must be a valid {0}",
    "minItems": "must have at least {0} items",
    "maxItems": "must have at most {0} items",
    "minProperties": "must have at least {0} fields",
    "maxProperties": "must have at most {0} fields",
    "const": "must be {0!r}",
    "uniqueItems": "must not hold an item twice",
}


def _problems(error: Any) -> Iterator[str]:
    keyword, rule = error.validator, error.validator_value
    if keyword in {"anyOf", "oneOf"}:
        yield from _problems_of_union(error)
        return
    place = _place(error.absolute_path)
    if keyword == "required":
        yield from (f"{place}: field {name} is missing" for name in rule if name not in error.instance)
    elif keyword == "additionalProperties" and rule is False:
        known = list(error.schema.get("properties", ()))
        unknown = [name for name in error.instance if name not in known]
        yield from (f"{place}: there is no field {name}{closest(name, known)}" for name in unknown)
    elif keyword == "type":
        yield f"{place}: {_wrong_type(error.instance, [rule] if isinstance(rule, str) else rule)}"
    elif isinstance(error.instance, Later):
        members = rule if keyword == "enum" else [rule]
        yield f"{place}: {_wrong_type(error.instance, sorted(set(map(_type_of, members))))}"
    elif keyword == "enum":
        yield f"{place}: must be one of {', '.join(map(repr, rule))}"
    else:
        yield f"{place}: {_RULES.get(keyword, f'does not satisfy {keyword}').format(rule)}"


def _problems_of_union(error: Any) -> Iterator[str]:
    """A union is told by the one branch whose type fits (as for an optional field), else by its types."""
    branches: dict[Any, list[Any]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    wrong_types = [
        inner
        for errors in branches.values()
        for inner in errors
        if inner.validator == "type" and not inner.relative_path
    ]
    excluded = {inner.schema_path[0] for inner in wrong_types}
    fitting = [errors for branch, errors in branches.items() if branch not in excluded]
    place = _place(error.absolute_path)
    if len(fitting) == 1:
        for inner in fitting[0]:
            yield from _problems(inner)
    elif fitting or not branches:
        yield f"{place}: fits {'none' if branches else 'more than one'} of the allowed forms"
    else:
        rules = [inner.validator_value for inner in wrong_types]
        names = [name for rule in rules for name in ([rule] if isinstance(rule, str) else rule)]
        yield f"{place}: {_wrong_type(error.instance, list(dict.fromkeys(names)))}"


def _wrong_type(value: Any, wanted: Sequence[str]) -> str:
    if isinstance(value, Later):
        return f"must be {' or '.join(wanted)}, but {value.text} is {' or '.join(sorted(value.types or ()))}"
    return f"must be {' or '.join(wanted)}, not {_type_of(value)}"


def _place(path: Sequence[str | int]) -> str:
    place = "input"
    for part in path:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return place
