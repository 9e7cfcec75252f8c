"""JSONata for moto's Step Functions, which leaves every JSONata expression and every variable to an absent engine.

moto would write variables into the text of the expression. Here an expression is compiled once, looks up by itself
which variables and which fields of ``$states`` it reads, and is given exactly those as values.
"""

import copy
import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonata import JException, Jsonata
from jsonata.parser import Parser
from jsonata.utils import Utils
from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.string.string_expression import (
    StringJSONata,
    StringVariableSample,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.variable_store import NoSuchVariable, VariableStore

from infra.local.plain_expressions import UNSURE, answer
from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_functions import FUNCTIONS, for_engine
from infra.local.repairs.stepfunctions_patching import replace

_STATES = "states"


class QueryFailed(Exception):
    """An expression that does not parse, fails, or yields nothing; on AWS it is States.QueryEvaluationError."""


@dataclass(frozen=True)
class Query:
    """A compiled expression with what it reads: names of variables, and fields of ``$states`` (None: all of them)."""

    engine: Jsonata
    variables: frozenset[str]
    states_fields: frozenset[str] | None

    def evaluate(self, bindings: Mapping[str, Any]) -> Any:
        """Evaluate with the given values by variable name and return JSON; raises JException as the engine does.

        The compiled tree is shared by all threads, the rest of the engine's state is not: each evaluation works on a
        copy of the engine, which the engine's own functions find through ``CURRENT``.
        """
        engine = copy.copy(self.engine)
        Jsonata.CURRENT.jsonata = engine
        return engine.evaluate(None, {name: for_engine(value) for name, value in bindings.items()})


class _Engine(Jsonata):
    """The engine, which otherwise evaluates ``$list[$cursor]`` once per item to find the one that is meant."""

    def evaluate_filter(self, predicate: Any, input: Any, environment: Any) -> Any:
        if predicate.type == "variable" and type(input) is list:
            index = environment.lookup(predicate.value)
            if type(index) is int:
                found = Utils.create_sequence()
                found.extend(input[index:][:1] if -len(input) <= index else ())
                return found
        return super().evaluate_filter(predicate, input, environment)


def _engine_environment() -> Any:
    frame = Jsonata.Frame(Jsonata.static_frame)
    for name, function in FUNCTIONS.items():
        frame.bind(name, Jsonata.JLambda(function))
    return frame


_ENVIRONMENT = _engine_environment()


@functools.lru_cache(maxsize=4096)
def compile_query(source: str) -> Query:
    """Compile an expression, without its ``{% %}``; raises QueryFailed with what is wrong in it."""
    try:
        engine = _Engine(source)
    except JException as error:
        raise QueryFailed(f"The JSONata expression '{source}' does not parse. {error}") from error
    engine.environment = _ENVIRONMENT
    engine.set_output_convert_nulls(False)
    variables, fields = _references(engine.ast)
    return Query(engine, variables, fields)


def _references(tree: Any) -> tuple[frozenset[str], frozenset[str] | None]:
    variables: set[str] = set()
    fields: set[str] = set()
    whole_states = False
    for node, parent in _nodes(tree):
        if node.type != "variable" or not node.value:
            continue
        if node.value != _STATES:
            variables.add(node.value)
            continue
        steps: Any = parent.steps if parent is not None and parent.type == "path" else ()
        if len(steps) > 1 and steps[0] is node and steps[1].type == "name":
            fields.add(steps[1].value)
        else:
            whole_states = True
    return frozenset(variables), None if whole_states else frozenset(fields)


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every symbol of a parsed expression with the symbol it belongs to."""
    seen: set[int] = set()
    pending: list[tuple[Any, Any]] = [(tree, None)]
    while pending:
        node, parent = pending.pop()
        if isinstance(node, (list, tuple)):
            pending.extend((item, parent) for item in node)
        elif isinstance(node, Parser.Symbol) and id(node) not in seen:
            seen.add(id(node))
            yield node, parent
            pending.extend((item, node) for key, item in vars(node).items() if key != "_outer_instance")


def evaluate(source: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """Evaluate an expression against ``$states`` and the variables, and return JSON.

    Raises QueryFailed when it does not parse, fails, yields nothing, or yields what is not JSON.
    """
    if (found := answer(source, states, variables)) is not UNSURE:
        return _json(for_engine(found))
    query = compile_query(source)
    bindings = {name: variables[name] for name in query.variables if name in variables}
    if query.states_fields is None:
        bindings[_STATES] = states
    elif query.states_fields:
        bindings[_STATES] = {name: states[name] for name in query.states_fields if states.get(name) is not None}
    try:
        result = query.evaluate(bindings)
        if result is None:
            raise QueryFailed(f"The JSONata expression '{source}' returned nothing (undefined).")
        return _json(result)
    except _NotJson as error:
        raise QueryFailed(f"The JSONata expression '{source}' returned an unsupported result type.") from error
    except (JException, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        # The engine lets some of Python's own exceptions through, for instance for a text that is no number.
        raise QueryFailed(f"The JSONata expression '{source}' threw an error during evaluation. {error}") from error


class _NotJson(Exception):
    """A function, or a number that JSON cannot hold, somewhere in a result."""


def _json(value: Any) -> Any:
    if value is Utils.NULL_VALUE or value is None:
        return None
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        # By index: the engine's ranges are lists that only count when they are indexed.
        return [_json(value[index]) for index in range(len(value))]
    if isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise _NotJson


class _Variables(Mapping[str, Any]):
    """The variables in scope, read through moto's own store."""

    def __init__(self, store: VariableStore) -> None:
        self._store = store

    def __contains__(self, name: object) -> bool:
        return name in self._store._inner_scope or name in self._store._outer_scope

    def __getitem__(self, name: str) -> Any:
        try:
            return self._store.get(name)
        except NoSuchVariable as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return iter({**self._store._outer_scope, **self._store._inner_scope})

    def __len__(self) -> int:
        return len({**self._store._outer_scope, **self._store._inner_scope})


def query_failure(env: Environment, cause: str) -> FailureEventException:
    """States.QueryEvaluationError as moto's interpreter raises it, with the event that AWS writes for it."""
    error = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(cause=cause, error=error.error_name)
    failure = FailureEventException(
        failure_event=FailureEvent(
            env=env,
            error_name=error,
            event_type=HistoryEventType.EvaluationFailed,
            event_details=EventDetails(evaluationFailedEventDetails=details),
        )
    )
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.EvaluationFailed,
        event_details=EventDetails(evaluationFailedEventDetails=failure.get_evaluation_failed_event_details()),
    )
    return failure


def _evaluate_in_state(component: StringJSONata | StringVariableSample, env: Environment) -> None:
    try:
        result = evaluate(component.expression, env.states._states_data, _Variables(env.variable_store))
    except QueryFailed as error:
        raise query_failure(env, str(error)) from error
    env.stack.append(result)


def _install_evaluation() -> Undo:
    return replace(
        (StringJSONata, "_eval_body", _evaluate_in_state),
        (StringVariableSample, "_eval_body", _evaluate_in_state),
    )


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "stepfunctions-jsonata",
        "JSONata expressions and variables are not evaluated at all: the engine behind them is missing",
        _install_evaluation,
    ),
)
