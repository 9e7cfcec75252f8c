"""What the Step Functions API answers: stopped and timed-out executions, task tokens, calls from machine to machine."""

import functools
import json
import threading
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackConsumerTimeout,
    CallbackEndpoint,
    CallbackOutcome,
    CallbackOutcomeFailure,
    CallbackOutcomeSuccess,
    CallbackPoolManager,
)
from moto.stepfunctions.responses import StepFunctionResponse

from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_patching import replace

_pools: weakref.WeakValueDictionary[str, CallbackPoolManager] = weakref.WeakValueDictionary()
_delivering = threading.Lock()


def _invalid_token() -> NoReturn:
    raise AWSError("Invalid Token: 'Invalid token'", exception_type="InvalidToken")


def _task_gone() -> NoReturn:
    raise AWSError("Task Timed Out: 'Provided task does not exist anymore'", exception_type="TaskTimedOut")


def _endpoint(token: str) -> CallbackEndpoint:
    """The task that waits for the token; raises InvalidToken, or TaskTimedOut when the task is over."""
    pool = _pools.get(token)
    endpoint = pool.get(token) if pool is not None else None
    if endpoint is None:
        _invalid_token()
    if endpoint.consumer_error is not None or endpoint.get_outcome() is not None:
        _task_gone()
    return endpoint


def _deliver(token: str, outcome: CallbackOutcome) -> EmptyResult:
    with _delivering:
        _endpoint(token).notify(outcome)
    return EmptyResult()


def _send_task_success(self: StepFunctionResponse) -> EmptyResult:
    token, output = self._get_param("taskToken"), self._get_param("output")
    try:
        json.loads(output)
    except ValueError as error:
        raise AWSError(f"Invalid Output: '{error}'", exception_type="InvalidOutput") from error
    return _deliver(token, CallbackOutcomeSuccess(callback_id=token, output=output))


def _send_task_failure(self: StepFunctionResponse) -> EmptyResult:
    token = self._get_param("taskToken")
    failure = CallbackOutcomeFailure(callback_id=token, error=self._get_param("error"), cause=self._get_param("cause"))
    return _deliver(token, failure)


def _send_task_heartbeat(self: StepFunctionResponse) -> EmptyResult:
    with _delivering:
        _endpoint(self._get_param("taskToken")).notify_heartbeat()
    return EmptyResult()


def _install_tokens() -> Undo:
    original_add: Callable[[CallbackPoolManager, str], CallbackEndpoint] = CallbackPoolManager.add
    original_interrupt: Callable[[CallbackEndpoint], None] = CallbackEndpoint.interrupt_all

    def add(self: CallbackPoolManager, callback_id: str) -> CallbackEndpoint:
        endpoint = original_add(self, callback_id)
        _pools[callback_id] = self
        return endpoint

    def interrupt_all(self: CallbackEndpoint) -> None:
        # The task is over when nobody is to wait for it any longer.
        self.report(CallbackConsumerTimeout())
        original_interrupt(self)

    return replace(
        (CallbackPoolManager, "add", add),
        (CallbackEndpoint, "interrupt_all", interrupt_all),
        (StepFunctionResponse, "send_task_success", _send_task_success),
        (StepFunctionResponse, "send_task_failure", _send_task_failure),
        (StepFunctionResponse, "send_task_heartbeat", _send_task_heartbeat),
    )


def _stop_execution(self: StepFunctionResponse) -> ActionResult:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    execution.stop(stop_date=utcnow(), error=self._get_param("error"), cause=self._get_param("cause"))
    return ActionResult({"stopDate": execution.stop_date})


def _install_timed_out_answers() -> Undo:
    original_describe: Callable[[StepFunctionResponse], ActionResult] = StepFunctionResponse.describe_execution
    original_list: Callable[[StepFunctionResponse], ActionResult] = StepFunctionResponse.list_executions

    def add_stop_date(response: StepFunctionResponse, described: dict[str, Any]) -> None:
        if described["status"] == ExecutionStatus.TIMED_OUT.value:
            execution = response.stepfunction_backend.describe_execution(described["executionArn"])
            described["stopDate"] = execution.stop_date

    def describe_execution(self: StepFunctionResponse) -> ActionResult:
        answer: Any = original_describe(self).result
        add_stop_date(self, answer)
        return ActionResult(answer)

    def list_executions(self: StepFunctionResponse) -> ActionResult:
        answer: Any = original_list(self).result
        for described in answer["executions"]:
            add_stop_date(self, described)
        return ActionResult(answer)

    return replace(
        (StepFunctionResponse, "describe_execution", describe_execution),
        (StepFunctionResponse, "list_executions", list_executions),
    )


@functools.cache
def _operation(service: str, action: str) -> OperationModel | None:
    """The operation behind an integration, or None when its wire names are what the States Language uses anyway."""
    model = botocore.session.get_session().get_service_model(service)
    by_action = {xform_name(name): name for name in model.operation_names}
    operation = model.operation_model(by_action[action])
    shapes = [shape for shape in (operation.input_shape, operation.output_shape) if shape is not None]
    if all(member[:1].isupper() for shape in shapes for member in shape.members):
        return None
    return operation


def _normalise_parameters(
    self: StateTaskService,
    parameters: dict[str, Any],
    boto_service_name: str | None = None,
    service_action_name: str | None = None,
) -> None:
    service = self._get_boto_service_name(boto_service_name)
    operation = _operation(service, self._get_boto_service_action(service_action_name))
    if operation is not None and operation.input_shape is not None:
        self._to_boto_request(parameters, operation.input_shape)


def _normalise_response(
    self: StateTaskService,
    response: Any,
    boto_service_name: str | None = None,
    service_action_name: str | None = None,
) -> None:
    service = self._get_boto_service_name(boto_service_name)
    operation = _operation(service, self._get_boto_service_action(service_action_name))
    if operation is not None and operation.output_shape is not None:
        self._from_boto_response(response, operation.output_shape)


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "stepfunctions-task-tokens",
        "a task token's cause is dropped, its output need not be JSON, and a task that is over still takes an answer",
        _install_tokens,
    ),
    Repair(
        "stepfunctions-stop-answer",
        "StopExecution ignores error and cause and answers without a stopDate",
        lambda: replace((StepFunctionResponse, "stop_execution", _stop_execution)),
    ),
    Repair(
        "stepfunctions-timed-out-answer",
        "an execution that timed out is described without its stopDate",
        _install_timed_out_answers,
    ),
    Repair(
        "stepfunctions-integrations",
        "an integration with a service whose wire names start in lower case, such as states:startExecution, fails",
        lambda: replace(
            (StateTaskService, "_normalise_parameters", _normalise_parameters),
            (StateTaskService, "_normalise_response", _normalise_response),
        ),
    ),
)
