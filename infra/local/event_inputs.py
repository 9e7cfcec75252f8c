"""What a target of an EventBridge rule receives: the event, a part of it, a constant, or a transformed text."""

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

Event = Mapping[str, Any]

_PATH_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']+)'\]")
_PLACEHOLDER = re.compile(r"<([^<>]+)>")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ABSENT = object()


class InputInvalid(Exception):
    """The target's input settings and this event do not make JSON."""


def target_input(target: Mapping[str, Any], event: Event, rule_arn: str) -> str:
    """The text that is delivered to ``target`` for ``event``, according to its Input settings.

    Raises ``InputInvalid`` when a path is malformed or a transformed template is not JSON.
    """
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        found = at_path(event, target["InputPath"])
        return json.dumps(None if found is _ABSENT else found)
    if transformer := target.get("InputTransformer"):
        return _transform(transformer, event, rule_arn)
    return json.dumps(event)


@functools.lru_cache(1024)
def _steps(path: str) -> tuple[str | int, ...]:
    if not path.startswith("$"):
        raise InputInvalid(f"a path starts with $: {path}")
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _PATH_STEP.match(path, position)
        if match is None:
            raise InputInvalid(f"cannot read the path {path} from character {position}")
        name, index, quoted = match.groups()
        steps.append(int(index) if index is not None else name or quoted)
        position = match.end()
    return tuple(steps)


def at_path(event: Event, path: str) -> Any:
    """The value at a path such as ``$.detail.items[0].name``; a value of its own kind if there is none."""
    value: Any = event
    for step in _steps(path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return value


def _transform(transformer: Mapping[str, Any], event: Event, rule_arn: str) -> str:
    found = {name: at_path(event, path) for name, path in transformer.get("InputPathsMap", {}).items()}
    variables = {
        **found,
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rsplit("/", 1)[1],
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
    }
    text = _fill(transformer["InputTemplate"], variables)
    try:
        json.loads(text)
    except ValueError as problem:
        raise InputInvalid(f"the filled template is not JSON ({problem}): {text[:200]}") from None
    return text


def _fill(template: str, variables: Mapping[str, Any]) -> str:
    """Put values in the place of ``<names>``: as JSON where they stand alone, as plain text within quotes."""
    filled: list[str] = []
    position = 0
    for quoted in _QUOTED.finditer(template):
        filled.append(_PLACEHOLDER.sub(lambda name: _alone(name, variables), template[position : quoted.start()]))
        filled.append(_PLACEHOLDER.sub(lambda name: _within_quotes(name, variables), quoted.group()))
        position = quoted.end()
    filled.append(_PLACEHOLDER.sub(lambda name: _alone(name, variables), template[position:]))
    return "".join(filled)


def _alone(placeholder: re.Match[str], variables: Mapping[str, Any]) -> str:
    if placeholder[1] not in variables:
        return placeholder[0]
    value = variables[placeholder[1]]
    return json.dumps(None if value is _ABSENT else value)


def _within_quotes(placeholder: re.Match[str], variables: Mapping[str, Any]) -> str:
    if placeholder[1] not in variables:
        return placeholder[0]
    value = variables[placeholder[1]]
    if value is _ABSENT:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)[1:-1]
