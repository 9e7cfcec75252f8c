"""Makes up a value that fits a JSON Schema, of the kind that typed inputs have."""

import random
from collections.abc import Mapping
from typing import Any

from apex.errors import InvalidInput

_FORMATS: Mapping[str, str] = {
    "date": "2030-01-01",
    "date-time": "2030-01-01T12:00:00Z",
    "time": "12:00:00Z",
    "email": "ana@example.com",
    "uuid": "6f6e7a0c-6c0e-4d3b-9a53-0a9e5d6c7e10",
    "uri": "https://example.com/",
}


def sample(schema: Mapping[str, Any], draw: random.Random) -> Any:
    """A value with all required fields. Raises ``InvalidInput`` for what it cannot make up, such as a pattern."""
    return _value(schema, schema.get("$defs", {}), draw)


def _value(schema: Mapping[str, Any], known: Mapping[str, Any], draw: random.Random) -> Any:
    if "$ref" in schema:
        return _value(known[schema["$ref"].rsplit("/", 1)[-1]], known, draw)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw.choice(schema["enum"])
    if "default" in schema:
        return schema["default"]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            options = [option for option in schema[choice] if option.get("type") != "null" and "pattern" not in option]
            return _value(draw.choice(options or schema[choice]), known, draw)
    return _of_type(schema, known, draw)


def _of_type(schema: Mapping[str, Any], known: Mapping[str, Any], draw: random.Random) -> Any:
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: _value(properties[name], known, draw) for name in schema.get("required", ())}
        case "array":
            return [_value(schema.get("items", {}), known, draw) for _ in range(schema.get("minItems", 1))]
        case "integer" | "number":
            return _number(schema, draw)
        case "string":
            return _text(schema, draw)
        case "boolean":
            return draw.random() < 0.5
        case None:
            return "anything"
    return None


def _number(schema: Mapping[str, Any], draw: random.Random) -> int:
    least = max(schema.get("minimum", 0), schema.get("exclusiveMinimum", -1) + 1)
    most = min(schema.get("maximum", least + 99), schema.get("exclusiveMaximum", least + 100) - 1)
    step = schema.get("multipleOf", 1)
    return int(-(-draw.randint(int(least), max(int(least), int(most))) // step) * step)


def _text(schema: Mapping[str, Any], draw: random.Random) -> str:
    if "pattern" in schema:
        raise InvalidInput(f"a text of the pattern {schema['pattern']} has to be given")
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = f"sample {draw.randrange(1000)}"
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 1000)]
