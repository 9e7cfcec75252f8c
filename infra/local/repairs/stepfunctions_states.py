"""How single states behave: what Output sees, what Catch catches, where a Choice goes, what error a Map passes on."""

from collections.abc import Callable
from typing import Any

from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.assign.assign_decl import AssignDecl
from moto.stepfunctions.parser.asl.component.common.catch.catch_outcome import CatchOutcome
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison import ConditionStringJSONata
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import (
    InlineIterationComponent,
    InlineIterationComponentEvalInput,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
    StateTaskService,
)
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.variable_store import IllegalOuterScopeWrite, VariableStore

from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_jsonata import query_failure
from infra.local.repairs.stepfunctions_patching import replace

# No Retry and no Catch reaches these: an execution that meets one of them is over.
_TERMINAL_FOR_WILDCARDS = frozenset({"States.DataLimitExceeded"})
_NEVER_CAUGHT = frozenset({"States.Runtime"})
_NOT_A_FAILED_TASK = frozenset({"States.Timeout", "States.QueryEvaluationError", "States.DataLimitExceeded"})


def _matches(listed: frozenset[str | None], error: str | None) -> bool:
    """Whether ErrorEquals with these names catches the error, by the rules of the States Language."""
    if error in _NEVER_CAUGHT:
        return False
    if error in listed:
        return True
    if "States.ALL" in listed:
        return error not in _TERMINAL_FOR_WILDCARDS
    return "States.TaskFailed" in listed and error not in _NOT_A_FAILED_TASK


def _error_equals(self: ErrorEqualsDecl, env: Environment) -> None:
    error: ErrorName | None = env.stack.pop()
    listed = frozenset(name.error_name for name in self.error_names)
    env.stack.append(_matches(listed, error.error_name if error else None))


def _any_error_name(self: CustomErrorName, error_name: str | None) -> None:
    ErrorName.__init__(self, error_name=error_name)


def _install_assign_after_output() -> Undo:
    original_assigned: Callable[[VariableStore], dict[str, str]] = VariableStore.get_assigned_variables

    def hold_back(self: AssignDecl, env: Environment) -> None:
        values: dict[str, Any] = {}
        for binding in self.declaration_bindings:
            binding.eval(env=env)
            values.update(env.stack.pop())
        store = env.variable_store
        for name, value in values.items():
            if name in store._outer_scope:
                raise IllegalOuterScopeWrite(variable_identifier=name, variable_value=value)
        store.held_back = values

    def assign_on_exit(self: VariableStore) -> dict[str, str]:
        """Called once per state, for its exit event: the moment at which its assignments take effect."""
        for name, value in vars(self).pop("held_back", {}).items():
            self.set(name, value)
        return original_assigned(self)

    return replace(
        (AssignDecl, "_eval_body", hold_back),
        (VariableStore, "get_assigned_variables", assign_on_exit),
    )


def _install_output_inside_retry() -> Undo:
    original: Callable[[ExecutionState, Environment], None] = ExecutionState._evaluate_with_timeout

    def evaluate_with_output(self: ExecutionState, env: Environment) -> None:
        original(self, env)
        if self.output and env.is_running():
            try:
                self.output.eval(env=env)
            except FailureEventException:
                # The attempt failed, so what it was to assign is void.
                env.variable_store.held_back = {}
                raise
            # What lies on the stack tells the caller that the output is settled, as after a Catch.
            env.stack.append(CatchOutcome.NotCaught)

    return replace((ExecutionState, "_evaluate_with_timeout", evaluate_with_output))


def _no_choice_matched(self: StateChoice, env: Environment) -> FailureEventException:
    error = StatesErrorName(typ=StatesErrorNameType.StatesNoChoiceMatched)
    details = ExecutionFailedEventDetails(
        error=error.error_name,
        cause=f"An error occurred while executing the state '{self.name}'. No choice matched and there is no Default.",
    )
    return FailureEventException(
        failure_event=FailureEvent(
            env=env,
            error_name=error,
            event_type=HistoryEventType.ExecutionFailed,
            event_details=EventDetails(executionFailedEventDetails=details),
        )
    )


def _choose(self: StateChoice, env: Environment) -> None:
    for rule in self.choices_decl.rules:
        rule.eval(env)
        if env.stack.pop() is True:
            env.stack.append(rule.next_stmt.name)
            return
    if self.default_state is None:
        raise _no_choice_matched(self, env)
    # Assign and Output of the state itself belong to its Default, not to a rule that happens to lead to the same state.
    if self.assign_decl:
        self.assign_decl.eval(env=env)
    if self.output:
        self.output.eval(env=env)
    env.stack.append(self.default_state.state_name)


def _leave_choice(self: StateChoice, env: Environment) -> None:
    next_state: str = env.stack.pop()
    if self._is_language_query_jsonpath():
        CommonStateField._eval_state_output(self, env)
    env.next_state_name = next_state


def _boolean_condition(self: ConditionStringJSONata, env: Environment) -> None:
    self.string_jsonata.eval(env=env)
    if not isinstance(env.stack[-1], bool):
        raise query_failure(
            env,
            f"The JSONata expression '{self.string_jsonata.expression}' specified for the field 'Condition' "
            f"returned an unexpected result type. Expected 'boolean', but was {env.stack[-1]!r}.",
        )


def _install_map_worker_limit() -> Undo:
    original: Callable[[InlineIterationComponent, Environment], None] = InlineIterationComponent._eval_body

    def start_no_idle_workers(self: InlineIterationComponent, env: Environment) -> None:
        asked: InlineIterationComponentEvalInput = env.stack[-1]
        # 0 means no limit, which moto reads as one worker per item.
        asked.max_concurrency = min(asked.max_concurrency, len(asked.input_items))
        original(self, env)

    return replace((InlineIterationComponent, "_eval_body", start_no_idle_workers))


def _install_task_limits() -> Undo:
    original_before: Callable[..., None] = StateTaskService._before_eval_execution
    original_after: Callable[..., None] = StateTaskService._after_eval_execution

    def before(self: StateTaskService, env: Environment, **call: Any) -> None:
        self._verify_size_quota(env=env, value=call["raw_parameters"])
        original_before(self, env=env, **call)

    def after(self: StateTaskService, env: Environment, **call: Any) -> None:
        if env.is_running():
            original_after(self, env=env, **call)

    return replace(
        (StateTaskService, "_before_eval_execution", before),
        (StateTaskService, "_after_eval_execution", after),
    )


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "stepfunctions-terminal-errors",
        "States.ALL and States.TaskFailed catch States.Runtime and States.DataLimitExceeded, which end an execution",
        lambda: replace((ErrorEqualsDecl, "_eval_body", _error_equals)),
    ),
    Repair(
        "stepfunctions-nested-errors",
        "an error named States.* inside a Map or Parallel, or sent with a task token, turns into States.Runtime",
        lambda: replace((CustomErrorName, "__init__", _any_error_name)),
    ),
    Repair(
        "stepfunctions-assign-order",
        "Output sees the variables that Assign of the same state sets; both should see those from before the state",
        _install_assign_after_output,
    ),
    Repair(
        "stepfunctions-output-errors",
        "Retry and Catch of a Task, Map or Parallel do not cover an error in its Output",
        _install_output_inside_retry,
    ),
    Repair(
        "stepfunctions-choice",
        "a Choice without a match fails with States.Runtime, and a rule that leads to the Default's state also runs "
        "the Default's Assign and Output",
        lambda: replace((StateChoice, "_eval_state", _choose), (StateChoice, "_eval_state_output", _leave_choice)),
    ),
    Repair(
        "stepfunctions-condition",
        "a Condition that is not a boolean is States.Runtime instead of States.QueryEvaluationError",
        lambda: replace((ConditionStringJSONata, "_eval_body", _boolean_condition)),
    ),
    Repair(
        "stepfunctions-task-limits",
        "a task is given more than 256 KiB, and one that timed out still writes that it succeeded when it ends",
        _install_task_limits,
    ),
    Repair(
        "stepfunctions-map-workers",
        "a Map starts as many threads as MaxConcurrency allows, even when there are fewer items",
        _install_map_worker_limit,
    ),
)
