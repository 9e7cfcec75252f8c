"""The Lambda entry point that every tool shares."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from apex.app.house import house
from apex.app.requests import StepRequest
from apex.app.run_step import run_step
from apex.app.undo_step import undo_step
from apex.errors import InvalidInput
from apex.observability import handler
from apex.schema.ids import WorkflowRef
from apex.tools.sdk import Tool

LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def serve(tool: Tool[Any, Any]) -> LambdaHandler:
    """The handler of a tool's function. Its event is ``{action: run | undo, tenant, workflow_id, generation,
    step_id}``."""

    @handler(service="tool", tool=tool.name)
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        here = house()
        request = StepRequest(
            ref=WorkflowRef(event["tenant"], event["workflow_id"]),
            step_id=event["step_id"],
            generation=event["generation"],
            function_deadline=here.clock.now() + timedelta(milliseconds=context.get_remaining_time_in_millis()),
        )
        match event.get("action"):
            case "run":
                return run_step(here, tool, request)
            case "undo":
                return undo_step(here, tool, request)
            case other:
                raise InvalidInput(f"a tool's action is run or undo, not {other!r}")

    return handle
