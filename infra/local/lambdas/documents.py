"""The JSON documents that Lambda answers with when a function does not return: exactly as on AWS."""

import json
import traceback
import uuid
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from awslambdaric.lambda_runtime_exception import FaultException
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

from infra.local.lambdas import Answer, AroundInvoke, Function, SandboxTimedOut

_marshaller = LambdaMarshaller()


class FunctionFailed(Exception):
    """Passes the error document of a function through code that wraps its invocation."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.payload)
        self.answer = answer


def answer_of(function: Function, call: Callable[[Any], Any], payload: str, request_id: str) -> Answer:
    """Call with the event in the JSON text ``payload``; the answer AWS's runtime would give for what happens."""
    try:
        result = call(_marshaller.unmarshal_request(payload))
        text, _ = _marshaller.marshal_response(result)
    except FunctionFailed as failure:
        return failure.answer
    except SandboxTimedOut:
        return timed_out(request_id, function.timeout)
    except FaultException as error:
        return fault(error.exception_type, error.msg, request_id, error.trace)
    except SystemExit as error:
        return exited(request_id, f"exit status {error.code or 0}")
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises is its answer
        return raised(error, request_id)
    return Answer(text if isinstance(text, str) else text.decode("utf-8", errors="replace"))


def wrapped(around: AroundInvoke, function: Function, payload: str, call: Callable[[str], Answer]) -> Answer:
    """Run ``around`` on this side of an invocation that works on JSON text."""

    def proceed(event: dict[str, Any]) -> Any:
        answer = call(json.dumps(event))
        if answer.failed:
            raise FunctionFailed(answer)
        return json.loads(answer.payload)

    return answer_of(function, lambda event: around(function.name, event, proceed), payload, str(uuid.uuid4()))


# Frames of our own machinery between the thread and the handler; AWS hides its bootstrap in the same way.
_MACHINERY = ("/infra/local/lambdas/",)


def timed_out(request_id: str, seconds: float) -> Answer:
    """The caller's view of a function that ran longer than its timeout."""
    return _failure("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds")


def exited(request_id: str, status: str) -> Answer:
    """The caller's view of a runtime that ended during an invocation; ``status`` as in ``exit status 1``."""
    return _failure("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {status}")


def fault(error_type: str, message: str, request_id: str, trace: list[str] | None = None) -> Answer:
    """A fault of the runtime itself, such as a result that is not JSON."""
    return _failure(error_type, message, requestId=request_id, stackTrace=trace or [])


def raised(error: BaseException, request_id: str) -> Answer:
    """An exception of the handler: the name of its class is the error type that state machines catch."""
    return _failure(
        type(error).__name__,
        str(error),
        requestId=request_id,
        stackTrace=traceback.format_list(list(_frames(error.__traceback__))),
    )


def _frames(trace: TracebackType | None) -> Iterable[traceback.FrameSummary]:
    frames = traceback.extract_tb(trace)
    first = next((i for i, frame in enumerate(frames) if not _is_machinery(frame)), 0)
    return frames[first:]


def _is_machinery(frame: traceback.FrameSummary) -> bool:
    return any(part in frame.filename.replace("\\", "/") for part in _MACHINERY)


def _failure(error_type: str, message: str, **more: Any) -> Answer:
    return Answer(json.dumps({"errorMessage": message, "errorType": error_type, **more}), failed=True)
