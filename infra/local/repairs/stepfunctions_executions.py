"""The life of an execution in moto: how it starts, how it ends, and who is told."""

import datetime
import functools
import json
import logging
import threading
import uuid
from collections.abc import Callable
from copy import copy
from typing import Any

from moto.stepfunctions.exceptions import ExecutionAlreadyExists, InvalidExecutionInput, ValidationException
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.api import (
    ExecutionAbortedEventDetails,
    ExecutionFailedEventDetails,
    ExecutionStartedEventDetails,
    ExecutionStatus,
    ExecutionTimedOutEventDetails,
    HistoryEventExecutionDataDetails,
    HistoryEventType,
)
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager
from moto.stepfunctions.parser.asl.eval.program_state import (
    ProgramEnded,
    ProgramError,
    ProgramRunning,
    ProgramStopped,
    ProgramTimedOut,
)
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.parser.quotas import MAX_STATE_SIZE_UTF8_BYTES
from moto.stepfunctions.parser.utils import TMP_THREADS

from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_patching import replace
from infra.local.spare_threads import Alarms, SpareThreads

_LOG = logging.getLogger(__name__)

StatusChange = dict[str, Any]
StatusCallback = Callable[[StatusChange], None]

# EventBridge carries input and output of an execution only when both together are smaller than this, in bytes.
_EVENT_DATA_LIMIT = 248 * 1024
_TERMINAL_EVENTS = frozenset(
    {
        HistoryEventType.ExecutionSucceeded,
        HistoryEventType.ExecutionFailed,
        HistoryEventType.ExecutionAborted,
        HistoryEventType.ExecutionTimedOut,
    }
)
THREADS = SpareThreads("execution")
"""Where executions and their tasks run."""
_ALARMS = Alarms("execution timeouts")
_subscribers: list[StatusCallback] = []
_starting = threading.Lock()
_ending = threading.Lock()


def subscribe(callback: StatusCallback) -> Callable[[], None]:
    """Call back with the ``detail`` of every "Step Functions Execution Status Change" event; returns how to stop it.

    Callbacks run in the thread that changed the status, RUNNING before the first state is entered. What a callback
    raises is logged and does not touch the execution. Times in the detail are milliseconds since 1970.
    """
    _subscribers.append(callback)

    def unsubscribe() -> None:
        if callback in _subscribers:
            _subscribers.remove(callback)

    return unsubscribe


def _milliseconds(moment: datetime.datetime | None) -> int | None:
    return int(moment.timestamp() * 1000) if moment else None


def status_detail(execution: Execution) -> StatusChange:
    """The ``detail`` of the status-change event for the execution as it stands, with the fields that AWS sends."""
    included = len(execution.execution_input) + len(execution.output or "") < _EVENT_DATA_LIMIT
    has_output = execution.output is not None
    return {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": _milliseconds(execution.stop_date),
        "input": execution.execution_input if included else None,
        "inputDetails": {"included": included},
        "output": execution.output if included else None,
        "outputDetails": {"included": included} if has_output else None,
        "error": execution.error,
        "cause": execution.cause,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is RUNNING and cannot be redriven"
        if execution.status == "RUNNING"
        else "Redrive is not offered here",
    }


def _announce(execution: Execution) -> None:
    if not _subscribers:
        return
    detail = status_detail(execution)
    for callback in tuple(_subscribers):
        try:
            callback(dict(detail))
        except Exception:  # noqa: BLE001  # whatever it is, it is the subscriber's and not the execution's
            _LOG.exception("a subscriber failed on %s of %s", detail["status"], detail["executionArn"])


def _settle(execution: Execution, status: ExecutionStatus, *, output: Any = None, **end: Any) -> None:
    """Give an execution its final status, once; whoever comes later changes nothing."""
    with _ending:
        if execution.exec_status is not ExecutionStatus.RUNNING:
            return
        execution.output = output
        execution.error = end.get("error")
        execution.cause = end.get("cause")
        execution.stop_date = end.get("stop_date") or datetime.datetime.now(datetime.UTC)
        # Last, because readers look at the status first.
        execution.exec_status = status
    # moto keeps every thread it ever started.
    TMP_THREADS.clear()
    _announce(execution)


def _start_execution(
    self: StepFunctionsParserBackend,
    state_machine_arn: str,
    name: str | None = None,
    execution_input: str | None = None,
    trace_header: str | None = None,
) -> Execution:
    machine: StateMachine = self.describe_state_machine(state_machine_arn)
    text = execution_input or "{}"
    _check_input(text)
    if name:
        self._validate_name(name)
    else:
        name = str(uuid.uuid4())
    with _starting:
        known: dict[str, Execution] = machine.__dict__.setdefault("executions_by_name", {})
        if name in known:
            return _same_execution(known[name], text)
        execution = _new_execution(self, machine, name, text, trace_header)
        execution.exec_status = ExecutionStatus.RUNNING
        known[name] = execution
        machine.executions.append(execution)
    execution.start()
    return execution


def _check_input(text: str) -> None:
    if len(text.encode()) > MAX_STATE_SIZE_UTF8_BYTES:
        raise ValidationException(
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MAX_STATE_SIZE_UTF8_BYTES}"
        )
    try:
        json.loads(text)
    except ValueError as error:
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{error}'") from error


def _same_execution(execution: Execution, text: str) -> Execution:
    if execution.exec_status is ExecutionStatus.RUNNING and execution.execution_input == text:
        return execution
    raise ExecutionAlreadyExists(f"Execution Already Exists: '{execution.exec_arn}'")


def _new_execution(
    backend: StepFunctionsParserBackend, machine: StateMachine, name: str, text: str, trace_header: str | None
) -> Execution:
    # The definition must stay what it was when the execution started; nothing else of the machine is looked at.
    snapshot = copy(machine)
    snapshot.executions = []
    partition, region, account = backend.partition, backend.region_name, backend.account_id
    return Execution(
        name=name,
        sm_type=snapshot.sm_type,
        role_arn=snapshot.roleArn,
        exec_arn=f"arn:{partition}:states:{region}:{account}:execution:{machine.name}:{name}",
        account_id=account,
        region_name=region,
        state_machine=snapshot,
        start_date=datetime.datetime.now(datetime.UTC),
        cloud_watch_logging_session=None,
        input_data=text,
        trace_header=trace_header,
        activity_store={},
    )


def _start_worker(self: ExecutionWorker) -> None:
    """Make the environment before the thread, so that an execution can be stopped and asked from its first moment."""
    program: Program = self._get_evaluation_entrypoint()
    self.env = self._get_evaluation_environment()
    self.env.next_state_name = program.start_at.start_at_name
    _announce(self._execution_communication.execution)
    THREADS.run(lambda: _work(self, program))


def _work(worker: ExecutionWorker, program: Program) -> None:
    env = worker.env
    details = ExecutionStartedEventDetails(
        input=to_json_str(worker._evaluation_details.execution_details.inpt),
        inputDetails=HistoryEventExecutionDataDetails(truncated=False),
        roleArn=worker._evaluation_details.aws_execution_details.role_arn,
    )
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.ExecutionStarted,
        event_details=EventDetails(executionStartedEventDetails=details),
        update_source_event_id=False,
    )
    cancel_timeout = _set_timeout(worker, program)
    EvalComponent.eval(program, env)
    cancel_timeout()
    worker._execution_communication.terminated()


def _set_timeout(worker: ExecutionWorker, program: Program) -> Callable[[], None]:
    if not program.timeout_seconds:
        return lambda: None
    execution: Execution = worker._execution_communication.execution
    # A time out waits for locks and tells others, so it does not hold up the other alarms.
    ring = functools.partial(THREADS.run, lambda: _time_out(execution))
    return _ALARMS.after(program.timeout_seconds.timeout_seconds, ring)


def _eval_nested(self: Program, env: Environment) -> None:
    """A Map's or Parallel's inner machine runs in the thread that called it; it has no timeout of its own."""
    with env._state_mutex:
        if env._program_state is not None and not env.is_running():
            return
        env.next_state_name = self.start_at.start_at_name
    EvalComponent.eval(self, env)


def _reflect(self: BaseExecutionWorkerCommunication) -> None:
    execution = self.execution
    env = execution.exec_worker.env
    state = env._program_state
    if isinstance(state, ProgramEnded):
        _settle(
            execution,
            ExecutionStatus.SUCCEEDED,
            output=to_json_str(env.states.get_input(), separators=(",", ":")),
        )
    elif isinstance(state, ProgramError):
        failure = state.error or {}
        _settle(execution, ExecutionStatus.FAILED, error=failure.get("error"), cause=failure.get("cause"))
    elif isinstance(state, ProgramTimedOut):
        _settle(execution, ExecutionStatus.TIMED_OUT)
    else:
        _settle(execution, ExecutionStatus.ABORTED)


def _end_from_outside(execution: Execution, event: HistoryEventType, details: EventDetails) -> None:
    """Write the last event and let go of whoever still waits inside; a handler that runs is a zombie from here on."""
    env = execution.exec_worker.env
    env.event_manager.add_event(context=EventHistoryContext.of_program_start(), event_type=event, event_details=details)
    for endpoint in tuple(env.callback_pool_manager._pool.values()):
        endpoint.interrupt_all()


def _time_out(execution: Execution) -> None:
    env = execution.exec_worker.env
    env.set_timed_out()
    if isinstance(env._program_state, ProgramTimedOut):
        details = EventDetails(executionTimedOutEventDetails=ExecutionTimedOutEventDetails())
        _end_from_outside(execution, HistoryEventType.ExecutionTimedOut, details)
        _settle(execution, ExecutionStatus.TIMED_OUT)


def _stop(self: Execution, stop_date: datetime.datetime, error: str | None, cause: str | None) -> None:
    env = self.exec_worker.env
    env.set_stop(stop_date=stop_date, cause=cause, error=error)
    if isinstance(env._program_state, ProgramStopped):
        details = EventDetails(executionAbortedEventDetails=ExecutionAbortedEventDetails(error=error, cause=cause))
        _end_from_outside(self, HistoryEventType.ExecutionAborted, details)
        _settle(self, ExecutionStatus.ABORTED, stop_date=stop_date, error=error, cause=cause)


def _install_final_states() -> Undo:
    original_error: Callable[..., None] = Environment.set_error
    original_timed_out: Callable[..., None] = Environment.set_timed_out
    original_add: Callable[..., int] = EventManager.add_event

    def set_error(self: Environment, error: ExecutionFailedEventDetails) -> None:
        with self._state_mutex:
            if isinstance(self._program_state, ProgramRunning):
                original_error(self, error)

    def set_timed_out(self: Environment) -> None:
        with self._state_mutex:
            if isinstance(self._program_state, ProgramRunning):
                original_timed_out(self)

    def add_event(self: EventManager, context: EventHistoryContext, event_type: HistoryEventType, **rest: Any) -> int:
        if "ended" in self.__dict__:
            return context.last_published_event_id
        if event_type in _TERMINAL_EVENTS:
            self.__dict__["ended"] = True
        return original_add(self, context, event_type, **rest)

    return replace(
        (Environment, "set_error", set_error),
        (Environment, "set_timed_out", set_timed_out),
        (EventManager, "add_event", add_event),
    )


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "stepfunctions-start",
        "StartExecution without a name calls the execution None, accepts any name, and lets two callers with one name "
        "start two executions",
        lambda: replace((StepFunctionsParserBackend, "start_execution", _start_execution)),
    ),
    Repair(
        "stepfunctions-life",
        "an execution cannot be stopped or asked for its history in its first moments, and every inner machine of a "
        "Map starts a thread only to wait for it",
        lambda: replace((ExecutionWorker, "start", _start_worker), (Program, "eval", _eval_nested)),
    ),
    Repair(
        "stepfunctions-end",
        "an execution is SUCCEEDED before its output is there, its output is not JSON text, and no status-change event "
        "is sent",
        lambda: replace((BaseExecutionWorkerCommunication, "_reflect_execution_status", _reflect)),
    ),
    Repair(
        "stepfunctions-stop",
        "StopExecution waits for the running task or token, and forgets error and cause",
        lambda: replace((Execution, "stop", _stop)),
    ),
    Repair(
        "stepfunctions-final-states",
        "a stopped or timed-out execution becomes FAILED when its last task ends, and goes on writing history",
        _install_final_states,
    ),
)
