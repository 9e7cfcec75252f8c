"""Work that moto's Step Functions does again and again: parsing definitions, making clients, printing machines."""

import functools
import io
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import lambda_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.state.exec import execute_state
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.eval import states
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramState
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.responses import StepFunctionResponse

from infra.local.direct_calls import answer_directly
from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_executions import THREADS
from infra.local.repairs.stepfunctions_patching import replace

_INTERPRETER = "moto.stepfunctions.parser."
_CALLS = {"StartExecution": "start_execution", "DescribeExecution": "describe_execution"}


def _install_parse_cache() -> Undo:
    parse = functools.lru_cache(maxsize=256)(AmazonStateLanguageParser.parse)
    # Executions that share a parsed machine must agree on each part's key at once; moto draws it on demand.
    key = property(lambda self: str(id(self)))
    return replace((AmazonStateLanguageParser, "parse", staticmethod(parse)), (EvalComponent, "heap_key", key))


def _install_client_cache() -> Undo:
    original: Callable[..., Any] = boto_client.boto_client_for

    @functools.lru_cache(maxsize=64)
    def client(region: str, service: str, _in_process: bool) -> Any:
        return original(region=region, service=service)

    def client_for(region: str, service: str, **_: Any) -> Any:
        return client(region, service, boto_client.botocore_stubber.enabled)

    users = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(_INTERPRETER) and vars(module).get("boto_client_for") is original
    ]
    return replace(*((module, "boto_client_for", client_for) for module in users))


def _install_direct_invocation() -> Undo:
    original: Callable[..., dict[str, Any]] = lambda_eval_utils._invoke_lambda_function

    def invoke(parameters: dict[str, Any], region: str, state_credentials: Any) -> dict[str, Any]:
        """Ask moto's Lambda itself; whatever is not a plain invocation takes the way over the API."""
        if not boto_client.botocore_stubber.enabled or not parameters.keys() <= {"FunctionName", "Payload"}:
            return original(parameters, region, state_credentials)
        headers: dict[str, str] = {}
        try:
            payload = lambda_backends[DEFAULT_ACCOUNT_ID][region].invoke(
                parameters["FunctionName"], None, parameters.get("Payload") or b"{}", {}, headers
            )
        except UnknownFunctionException:
            return original(parameters, region, state_credentials)
        response: dict[str, Any] = {"StatusCode": 200, "Payload": _from_json(payload or b"")}
        if "x-amz-function-error" in headers:
            response["FunctionError"] = headers["x-amz-function-error"]
        return response

    return replace((lambda_eval_utils, "_invoke_lambda_function", invoke))


def _from_json(payload: bytes | str) -> Any:
    body = payload.encode() if isinstance(payload, str) else payload
    return lambda_eval_utils._from_payload(io.BytesIO(body))


def _copy_json(value: Any) -> Any:
    """Copy what can be changed in a JSON value; everything else is shared."""
    if isinstance(value, dict):
        return {key: _copy_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy_json(item) for item in value]
    return value


def _install_cheap_copies() -> Undo:
    def program_state(self: Environment) -> ProgramState:
        """The state itself: those who ask only look at what kind it is."""
        return self._program_state

    return replace(
        (states, "copy", SimpleNamespace(deepcopy=_copy_json)),
        (Environment, "program_state", program_state),
        (result_path, "parse", functools.lru_cache(maxsize=256)(result_path.parse)),
    )


class _Task:
    """Looks like the thread that moto makes for a task, and runs it on one that is there already."""

    def __init__(self, target: Callable[[], None], daemon: bool) -> None:
        self._target, self.daemon = target, daemon

    def start(self) -> None:
        THREADS.run(self._target)


def _say_nothing(self: EvalComponent, *_: FailureEventException | Exception, **__: Any) -> None:
    """An error inside an execution belongs in its history, where it already is."""


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "stepfunctions-parse-once",
        "every execution parses its definition anew",
        _install_parse_cache,
    ),
    Repair(
        "stepfunctions-clients-once",
        "every task makes an AWS client of its own",
        _install_client_cache,
    ),
    Repair(
        "stepfunctions-direct-invocation",
        "every lambda:invoke is signed, sent and taken apart as HTTP inside one process",
        _install_direct_invocation,
    ),
    Repair(
        "stepfunctions-direct-calls",
        "starting and describing an execution are signed, sent and taken apart as HTTP inside one process",
        lambda: answer_directly("stepfunctions", StepFunctionResponse, _CALLS),
    ),
    Repair(
        "stepfunctions-spare-threads",
        "every attempt of a task starts a thread of its own, to be able to give up on it",
        lambda: replace((execute_state, "Thread", _Task)),
    ),
    Repair(
        "stepfunctions-cheap-copies",
        "data between states is copied object by object, and every task builds a parser to read the path $",
        _install_cheap_copies,
    ),
    Repair(
        "stepfunctions-quiet",
        "every caught error is logged once per level of nesting, each time with the whole machine in print",
        lambda: replace(
            (EvalComponent, "_log_failure_event_exception", _say_nothing),
            (EvalComponent, "_log_exception", _say_nothing),
        ),
    ),
)
