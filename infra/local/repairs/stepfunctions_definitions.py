"""What Step Functions refuses when a state machine is created, and moto finds out only when it runs."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.exceptions import AWSError
from moto.stepfunctions.parser import api
from moto.stepfunctions.parser.asl.component.common.assign.assign_template_value_terminal import (
    AssignTemplateValueTerminalLit,
)
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_jsonata import QueryFailed, compile_query
from infra.local.repairs.stepfunctions_patching import replace


def problems(definition: str) -> list[str]:
    """What is wrong in a definition besides its grammar: transitions to nowhere, JSONata that does not parse."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [f"INVALID_JSON_DESCRIPTION: {error}"]
    return [*_lost_transitions(machine, ""), *_broken_queries(machine, "")]


def _lost_transitions(machine: dict[str, Any], place: str) -> Iterator[str]:
    states: dict[str, Any] = machine.get("States", {})
    if machine.get("StartAt") not in states:
        yield f"MISSING_TRANSITION_TARGET: there is no state {machine.get('StartAt')!r} to start at in {place or '/'}"
    for name, state in states.items():
        here = f"{place}/States/{name}"
        sources = [state, *state.get("Choices", []), *state.get("Catch", [])]
        for target in [source[key] for source in sources for key in ("Next", "Default") if key in source]:
            if target not in states:
                yield f"MISSING_TRANSITION_TARGET: {here} leads to {target!r}, which does not exist"
        inner = [*state.get("Branches", []), *(state[key] for key in ("ItemProcessor", "Iterator") if key in state)]
        for machine_inside in inner:
            yield from _lost_transitions(machine_inside, here)


def _broken_queries(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "Comment":
                yield from _broken_queries(item, f"{place}/{key}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _broken_queries(item, f"{place}[{position}]")
    elif isinstance(value, str) and value.startswith("{%") and value.endswith("%}"):
        try:
            compile_query(value[2:-2].strip())
        except QueryFailed as error:
            yield f"SCHEMA_VALIDATION_FAILED: {error} at {place}"


def _install_validation() -> Undo:
    original: Callable[[str], None] = StepFunctionsParserBackend._validate_definition

    def validate(definition: str) -> None:
        try:
            original(definition)
        except Exception as error:
            raise _invalid([str(getattr(error, "message", error))]) from error
        if found := problems(definition):
            raise _invalid(found)

    return replace((StepFunctionsParserBackend, "_validate_definition", staticmethod(validate)))


def _invalid(found: list[str]) -> AWSError:
    message = f"Invalid State Machine Definition: '{'; '.join(found)[:1000]}'"
    return AWSError(message, exception_type="InvalidDefinition")


def _install_error_codes() -> Undo:
    """moto writes the code of these errors where its own serializer does not look for it."""
    errors = [item for item in vars(api).values() if isinstance(item, type) and issubclass(item, AWSError)]
    codes = [(error, getattr(error, "code", None)) for error in errors]
    return replace(*((error, "TYPE", code) for error, code in codes if isinstance(code, str)))


def _assign_text(_: Preprocessor, ctx: Any) -> AssignTemplateValueTerminalLit:
    return AssignTemplateValueTerminalLit(value=json.loads(ctx.string_literal().getText()))


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "stepfunctions-definitions",
        "a definition with JSONata that does not parse or a transition to nowhere is accepted, and others are refused "
        "with an error that has no code",
        _install_validation,
    ),
    Repair(
        "stepfunctions-error-codes",
        "errors of the interpreter's API reach the client without a code",
        _install_error_codes,
    ),
    Repair(
        "stepfunctions-assign-text",
        "escapes in a text that Assign sets are kept as backslashes",
        lambda: replace((Preprocessor, "visitAssign_template_value_terminal_string_literal", _assign_text)),
    ),
)
