"""Runs the state machines as they stand in ``statemachines/``: states, retries, catches, timeouts and expressions are
read from the files, so the simulator cannot drift from what is deployed.

Of the States Language exactly the part is here that the two machines use; any other field or state stops the run.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from infra.chaos.scheduler import Actor, Scheduler
from infra.local.repairs.stepfunctions_jsonata import evaluate

_FOLDER = Path(__file__).resolve().parents[2] / "statemachines"
_FIELDS: Mapping[str, frozenset[str]] = {
    "Task": frozenset({"Resource", "Arguments", "TimeoutSeconds", "Retry", "Catch", "Assign", "Output", "Next", "End"}),
    "Choice": frozenset({"Choices", "Default"}),
    "Map": frozenset({"Items", "MaxConcurrency", "ItemProcessor", "Catch", "Assign", "Output", "Next", "End"}),
    "Pass": frozenset({"Output", "Assign", "Next", "End"}),
    "Fail": frozenset({"Error", "Cause"}),
}


class TaskFailed(Exception):
    """A state failed, with the error name and the cause that Retry and Catch go by."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    def matches(self, names: list[str]) -> bool:
        """Whether one of ``ErrorEquals`` names this error."""
        return self.error in names or "States.ALL" in names


class Surroundings(Protocol):
    """What an execution needs: the functions behind its tasks, and to say where it is."""

    def invoke(self, function: str, payload: dict[str, Any], timeout: timedelta) -> Any:
        """Call a function and wait at most that long; raises ``TaskFailed``."""
        ...

    def entered(self, execution: "Execution", state: str) -> None:
        """A state is about to begin; may stop the execution."""
        ...


@cache
def definition(name: str) -> dict[str, Any]:
    """The machine in the file ``<name>.asl.json``, functions called by the names of their folders.

    Raises ``NotImplementedError`` for what this interpreter does not know.
    """
    text = (_FOLDER / f"{name}.asl.json").read_text(encoding="utf-8")
    for folder in (
        "find_plan",
        "make_plan",
        "close_workflow",
        "hand_over",
        "start_rollback",
        "list_steps",
        "park_step",
    ):
        camel = "".join(part.capitalize() for part in folder.split("_"))
        text = text.replace(f"${{{camel}Function}}", folder)
    text = text.replace("${ToolFunctionPrefix}", "tool:")
    machine: dict[str, Any] = json.loads(text)
    if "${" in text:
        raise NotImplementedError(f"{name} refers to a function that the simulator does not have")
    _check(machine["States"])
    return machine


def _check(states: Mapping[str, Any]) -> None:
    for name, state in states.items():
        known = _FIELDS.get(state["Type"], frozenset())
        strange = set(state) - known - {"Type", "Comment"}
        if strange:
            raise NotImplementedError(f"state {name}: {state['Type']} with {', '.join(sorted(strange))}")
        if state["Type"] == "Map":
            _check(state["ItemProcessor"]["States"])


@dataclass(eq=False)
class Execution:
    """One execution. ``status`` is RUNNING until it has ended."""

    name: str
    machine: dict[str, Any]
    given: dict[str, Any]
    scheduler: Scheduler
    around: Surroundings
    status: str = "RUNNING"
    error: str = ""
    entered: list[str] = field(default_factory=list)
    _actors: list[Actor] = field(default_factory=list)

    def start(self, ended: Callable[["Execution"], None]) -> None:
        """Begin, as an actor of its own; ``ended`` is called once, when it is over for whatever reason."""

        def body() -> None:
            try:
                self._walk(self.machine, self.given, {})
                self.status = "SUCCEEDED"
            except TaskFailed as failure:
                self.status, self.error = "FAILED", failure.error
            finally:
                if self.status == "RUNNING":
                    self.status = "ABORTED"
                ended(self)

        self._actors.append(self.scheduler.spawn(self.name, body))

    def stop(self) -> None:
        """Stop it from outside. Functions that it has called go on."""
        if self.status != "RUNNING":
            return
        self.status = "ABORTED"
        current = self.scheduler.current
        for actor in self._actors:
            if actor is not current:
                self.scheduler.kill(actor)
        if current in self._actors:
            self.scheduler.kill(current)

    # ── states ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _walk(self, machine: Mapping[str, Any], given: Any, variables: dict[str, Any]) -> Any:
        name: str = machine["StartAt"]
        while True:
            self.entered.append(name)
            self.around.entered(self, name)
            state = machine["States"][name]
            given, following = self._state(state, given, variables)
            if following is None:
                return given
            name = following

    def _state(self, state: dict[str, Any], given: Any, variables: dict[str, Any]) -> tuple[Any, str | None]:
        kind = state["Type"]
        if kind == "Choice":
            return given, self._choose(state, given, variables)
        if kind == "Fail":
            raise TaskFailed(state["Error"], str(self._value(state["Cause"], variables, input=given)))
        try:
            if kind == "Task":
                result = self._task(state, given, variables)
            elif kind == "Map":
                result = self._map(state, given, variables)
            else:
                result = given
        except TaskFailed as failure:
            return self._caught(state, failure, given, variables)
        return self._leave(state, given, variables, result=result), state.get("Next")

    def _choose(self, state: dict[str, Any], given: Any, variables: dict[str, Any]) -> str:
        for choice in state["Choices"]:
            if self._value(choice["Condition"], variables, input=given) is True:
                return str(choice["Next"])
        return str(state["Default"])

    def _caught(
        self, state: dict[str, Any], failure: TaskFailed, given: Any, variables: dict[str, Any]
    ) -> tuple[Any, str | None]:
        for catcher in state.get("Catch", ()):
            if failure.matches(catcher["ErrorEquals"]):
                output = {"Error": failure.error, "Cause": failure.cause}
                return self._leave(catcher, given, variables, errorOutput=output, result=output), catcher["Next"]
        raise failure

    def _leave(self, state: dict[str, Any], given: Any, variables: dict[str, Any], **states: Any) -> Any:
        """Assignments and output see the variables as they were before."""
        assigned = self._value(state.get("Assign", {}), variables, input=given, **states)
        output = states["result"]
        if "Output" in state:
            output = self._value(state["Output"], variables, input=given, **states)
        variables.update(assigned)
        return output

    def _task(self, state: dict[str, Any], given: Any, variables: dict[str, Any]) -> Any:
        arguments = self._value(state["Arguments"], variables, input=given)
        timeout = timedelta(seconds=self._value(state["TimeoutSeconds"], variables, input=given))
        tries: dict[int, int] = {}
        while True:
            try:
                answer = self.around.invoke(arguments["FunctionName"], arguments["Payload"], timeout)
            except TaskFailed as failure:
                self.scheduler.sleep(self._retry_delay(state, failure, tries))
            else:
                return {"Payload": json.loads(json.dumps(answer)), "StatusCode": 200}

    def _retry_delay(self, state: dict[str, Any], failure: TaskFailed, tries: dict[int, int]) -> float:
        """How long to wait before the next try; raises the failure where there is none. The first retrier that names
        the error decides, and each counts its own tries."""
        for at, retrier in enumerate(state.get("Retry", ())):
            if not failure.matches(retrier["ErrorEquals"]):
                continue
            done = tries.get(at, 0)
            if done >= retrier.get("MaxAttempts", 3):
                raise failure
            tries[at] = done + 1
            delay = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2)) ** done
            delay = min(delay, retrier.get("MaxDelaySeconds", delay))
            return self.scheduler.random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay
        raise failure

    def _map(self, state: dict[str, Any], given: Any, variables: dict[str, Any]) -> list[Any]:
        """Items side by side, at most ``MaxConcurrency`` at once; the first that fails ends the others."""
        items = self._value(state["Items"], variables, input=given)
        waiting, running = list(enumerate(items)), dict[int, Actor]()
        results: dict[int, Any] = {}
        while waiting or running:
            while waiting and len(running) < state["MaxConcurrency"]:
                at, item = waiting.pop(0)
                running[at] = self._item(state["ItemProcessor"], at, item, variables)
            at = next((at for at, actor in running.items() if actor.done), min(running))
            actor = running[at]
            self.scheduler.wait_for(actor)
            del running[at]
            if actor.error is not None:
                for sibling in running.values():
                    self.scheduler.kill(sibling)
                raise actor.error
            results[at] = actor.result
        return [results[at] for at in range(len(items))]

    def _item(self, processor: dict[str, Any], at: int, item: Any, variables: dict[str, Any]) -> Actor:
        actor = self.scheduler.spawn(f"{self.name}[{at}]", lambda: self._walk(processor, item, dict(variables)))
        self._actors.append(actor)
        return actor

    # ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────

    def _value(self, template: Any, variables: Mapping[str, Any], **states: Any) -> Any:
        """A template with its expressions evaluated."""
        if isinstance(template, dict):
            return {name: self._value(item, variables, **states) for name, item in template.items()}
        if isinstance(template, list):
            return [self._value(item, variables, **states) for item in template]
        if isinstance(template, str) and template.startswith("{%"):
            context = {"Execution": {"Input": self.given, "Name": self.name}}
            return evaluate(template[2:-2].strip(), {"context": context, **states}, variables)
        return template
