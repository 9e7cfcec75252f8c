"""What the state machines ask of a tool's function, and how a failure is put into words."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apex.errors import ApexError
from apex.observability import redact_text
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Failure

_LONGEST_TEXT = 500
_MESSAGE = re.compile(r'^\{"errorMessage": ?("(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*)')


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One invocation for one step. ``function_deadline`` is when the Lambda function will be stopped."""

    ref: WorkflowRef
    step_id: str
    generation: int
    function_deadline: datetime


def describe(error: BaseException) -> str:
    """An error in one short line that is safe to store: class, code and message, without secrets."""
    text = error.message if isinstance(error, ApexError) else str(error)
    return _readable(f"{type(error).__name__}: {text}")


def failure_of(caught: dict[str, Any]) -> Failure:
    """A failure as a state machine caught it: ``{step_id?, error, cause}``, where the cause of a Lambda error is JSON
    text that may have been cut off."""
    cause = str(caught.get("cause") or "")
    try:
        message = str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        found = _MESSAGE.match(cause)
        message = json.loads(found[1] + '"', strict=False) if found else cause
    error = str(caught.get("error") or "unknown")
    return Failure(step_id=caught.get("step_id"), error=error, message=_readable(message) or error)


def _readable(text: str) -> str:
    """Short, without secrets, and valid Unicode: half a surrogate pair, as a cut leaves it, could not be stored."""
    return redact_text(text).encode(errors="replace").decode()[:_LONGEST_TEXT]
