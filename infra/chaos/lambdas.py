"""The functions behind the machines: each call is an actor with a deadline, and can be killed, doubled or held up."""

import json
from datetime import datetime, timedelta
from typing import Any

from apex.app.close import close_workflow
from apex.app.generations import hand_over
from apex.app.house import House
from apex.app.plans import find_plan
from apex.app.requests import StepRequest, failure_of
from apex.app.rollback import list_steps, park_step, start_rollback
from apex.app.run_step import run_step
from apex.app.undo_step import undo_step
from apex.errors import GoalNotPlanned
from apex.ports import PlanProposal, PlanRequest
from apex.schema.ids import WorkflowRef
from apex.tools.registry import Registry
from infra.chaos.asl import TaskFailed
from infra.chaos.faults import NO_STEP, Fault, Plot
from infra.chaos.scheduler import Actor, Killed, Scheduler
from infra.chaos.world import number_of

FUNCTION_TIMEOUT = timedelta(seconds=30)
"""Of the functions that are no tools, as deployed (but make_plan, which never comes to work here)."""


class NoPlans:
    """A plan index without plans: every goal of the simulator brings its own."""

    def find(self, request: PlanRequest) -> PlanProposal | None:  # noqa: ARG002
        """Nothing."""
        return None


class Functions:
    """All functions by name, and the calls of them."""

    def __init__(self, house: House, registry: Registry, scheduler: Scheduler, plot: Plot) -> None:
        self._house = house
        self._registry = registry
        self._scheduler = scheduler
        self._plot = plot
        self._calls = 0

    def invoke(self, function: str, payload: dict[str, Any], timeout: timedelta) -> Any:
        """Call a function and wait for its answer; raises ``TaskFailed`` as Step Functions would see it."""
        if self._plot.strikes(Fault.INVOCATION_REFUSED):
            raise TaskFailed("Lambda.TooManyRequestsException", "too many at once")
        self._deliver_again(function, payload)
        called = self._call(function, payload)
        limit = min(called.context["deadline"], self._scheduler.now() + timeout)
        if not self._scheduler.wait_for(called, limit):
            if not called.context.get("frozen"):
                self._scheduler.kill(called)
            raise TaskFailed("Sandbox.Timedout", "Task timed out")
        error = called.error
        if isinstance(error, Killed):
            raise TaskFailed("Runtime.ExitError", "the function's process ended")
        if error is not None:
            cause = {"errorMessage": str(error), "errorType": type(error).__name__}
            raise TaskFailed(type(error).__name__, json.dumps(cause)) from error
        return called.result

    def deliver(self, tool: str, action: str, ref: WorkflowRef, step_id: str, generation: int) -> None:
        """A request for a step arrives, and nobody waits for the answer."""
        request = {
            "action": action,
            "tenant": ref.tenant,
            "workflow_id": ref.workflow_id,
            "generation": generation,
            "step_id": step_id,
        }
        self._call(f"tool:{tool}", request)

    def _deliver_again(self, function: str, payload: dict[str, Any]) -> None:
        """The same request may be delivered twice, at once or much later."""
        step = self._step_of(payload)
        for fault in (Fault.DUPLICATE_DELIVERY, Fault.REORDERED_DELIVERY):
            planned = self._plot.strikes(fault, step)
            if planned is not None:
                self._call(function, payload, delay=planned.delay)

    def _step_of(self, payload: dict[str, Any]) -> int:
        return number_of(payload["step_id"]) if "step_id" in payload else NO_STEP

    def _call(self, function: str, payload: dict[str, Any], delay: float = 0.0) -> Actor:
        self._calls += 1
        seconds = self._timeout_of(function)
        context: dict[str, Any] = {"deadline": self._scheduler.now() + timedelta(seconds=delay) + seconds, **payload}

        def body() -> Any:
            if delay:
                self._scheduler.sleep(delay)
            return self._carry_out(function, payload, context["deadline"])

        return self._scheduler.spawn(f"{function}#{self._calls}", body, **context)

    def _timeout_of(self, function: str) -> timedelta:
        if function.startswith("tool:"):
            return self._registry[function.removeprefix("tool:")].contract.function_timeout
        return FUNCTION_TIMEOUT

    def _carry_out(self, function: str, payload: dict[str, Any], deadline: datetime) -> Any:
        ref = WorkflowRef(payload["tenant"], payload["workflow_id"])
        generation: int = payload["generation"]
        house = self._house
        if function.startswith("tool:"):
            tool = self._registry[function.removeprefix("tool:")]
            request = StepRequest(ref, payload["step_id"], generation, deadline)
            return {"run": run_step, "undo": undo_step}[payload["action"]](house, tool, request)
        match function:
            case "find_plan":
                return find_plan(house, self._registry, NoPlans(), ref, generation)
            case "make_plan":
                raise GoalNotPlanned("the simulator plans nothing")
            case "hand_over":
                return hand_over(house, ref, generation)
            case "close_workflow":
                return close_workflow(house, ref, generation)
            case "start_rollback":
                return start_rollback(house, ref, generation, failure_of(payload["failure"]), payload["door"])
            case "list_steps":
                return list_steps(house, self._registry, ref, generation)
            case "park_step":
                reason = failure_of(payload["failure"]).message
                return park_step(house, ref, generation, payload["step_id"], reason)
        raise NotImplementedError(function)
