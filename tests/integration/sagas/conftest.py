"""One running system per module, and the providers' own books as witnesses."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apex.app.submit import DEFAULT_DEADLINE, Goal
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef, effect_key, execution_name
from apex.schema.ledger import EffectState, Head
from apex.schema.plan import Plan
from infra.local.session import LocalSession
from tests.integration.sagas.trouble import Clockwork, Interference, Once, When

TRIP = "Book a flight to {city} tomorrow, reserve a hotel near {place} and charge {amount} to my card"


@dataclass
class System:
    """The running system, seen from outside."""

    session: LocalSession
    interference: Interference

    def run(
        self, goal: str, *, plan: dict[str, Any] | None = None, key: str | None = None, tenant: str = "acme"
    ) -> "Run":
        """Submit and wait for the end."""
        return self.wait(self.submit(goal, plan=plan, key=key, tenant=tenant))

    def submit(
        self,
        goal: str,
        *,
        plan: dict[str, Any] | None = None,
        key: str | None = None,
        tenant: str = "acme",
        deadline: timedelta = DEFAULT_DEADLINE,
    ) -> WorkflowRef:
        """Submit only."""
        asked = Goal(
            tenant=tenant,
            user_id="ana",
            text=goal,
            idempotency_key=key or str(uuid4()),
            plan=None if plan is None else Plan.model_validate(plan),
            deadline=deadline,
        )
        return self.session.submit(asked).head.ref

    def wait(self, ref: WorkflowRef, seconds: float = 60) -> "Run":
        """Wait for the end of a workflow."""
        return Run(self, self.session.wait(ref, timeout=timedelta(seconds=seconds)))

    def stop_executions(self, event: dict[str, Any]) -> None:
        """Stop, from outside, whatever runs for the workflow and generation of a function's event."""
        client = self.session.cloud.client("stepfunctions")
        outputs = self.session.cloud.outputs
        for output, is_rollback in (("AgentWorkflowMachineArn", False), ("RollbackMachineArn", True)):
            name = execution_name(event["workflow_id"], event["generation"], rollback=is_rollback)
            arn = f"{outputs[output].replace(':stateMachine:', ':execution:')}:{name}"
            try:
                if client.describe_execution(executionArn=arn)["status"] == "RUNNING":
                    client.stop_execution(executionArn=arn, error="Operator", cause="stopped from outside")
            except client.exceptions.ExecutionDoesNotExist:
                continue

    def stop_at(self, function: str, when: When = "before", *, action: str | None = None) -> Once:
        """Stop the execution that calls a function, the first time it does: before, after or instead of its work."""
        once = Once(f"apex-dev-{function}", self.stop_executions, when, action)
        self.interference.add(once)
        return once

    def eventually(self, holds: Callable[[], Any], seconds: float = 30) -> None:
        """Wait until something holds that happens in the background."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it never came to pass"
            time.sleep(0.02)

    def trip(self, city: str = "Paris", place: str = "the Eiffel Tower", amount: str = "$900") -> "Run":
        """Carry out the trip goal."""
        return self.run(TRIP.format(city=city, place=place, amount=amount))

    def ask(self, provider: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Talk to a provider directly."""
        request = urllib.request.Request(  # noqa: S310 - a loopback address of our own
            self.session.providers.urls[provider] + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            data: dict[str, Any] = json.load(answer)
            return data

    def fault(self, provider: str, **fault: Any) -> None:
        """Order a fault at a provider."""
        self.ask(provider, "/faults", fault)

    def faults_fired(self, provider: str) -> int:
        """How often faults struck there."""
        return sum(fault["fired"] for fault in self.ask(provider, "/faults")["faults"])

    def books(self, provider: str) -> list[dict[str, Any]]:
        """The provider's own ledger of visible effects."""
        entries: list[dict[str, Any]] = self.ask(provider, "/ledger")["entries"]
        return entries


@dataclass
class Run:
    """One workflow after its end."""

    system: System
    head: Head

    @property
    def ref(self) -> WorkflowRef:
        """Which workflow it is."""
        return self.head.ref

    @property
    def events(self) -> list[JournalEvent]:
        """Its journal."""
        return list(self.system.session.house.store.events(self.ref))

    def of_type(self, name: str) -> list[Any]:
        """The events of one type, in order."""
        return [event for event in self.events if event.type == name]

    def effects(self, provider: str) -> list[str]:
        """What this workflow did at a provider, by the provider's own book: ``apply`` and ``undo``, in order."""
        store = self.system.session.house.store
        entries = store.entries(self.ref).values()
        keys = {
            effect_key(self.ref.workflow_id, entry.step_id, "run", epoch)
            for entry in entries
            for epoch in range(entry.epoch + 1)
        }
        return [booked["kind"] for booked in self.system.books(provider) if booked["key"] in keys]

    @property
    def calls(self) -> Counter[str]:
        """How often each step was about to call its tool."""
        return Counter(event.step_id for event in self.of_type("ToolCallRequested"))

    @property
    def states(self) -> dict[str, EffectState]:
        """What the ledger says of each step."""
        return {step: entry.state for step, entry in self.system.session.house.store.entries(self.ref).items()}


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[System]:
    """A system that stays up for the module; its pauses last ``TIME_SCALE`` times as long, where the module says so."""
    interference = Interference()
    time_scale = getattr(request.module, "TIME_SCALE", 1.0)
    with LocalSession(around_invoke=interference, time_scale=time_scale) as session:
        yield System(session, interference)


@pytest.fixture
def system(running: System) -> System:
    """The running system with empty books at the providers."""
    for provider in running.session.providers.urls:
        running.ask(provider, "/reset", {})
    running.interference.clear()
    return running


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    """The time that the handlers read, to be moved forward."""
    return Clockwork(monkeypatch)


def step(step_id: str, tool: str, *depends_on: str, **given: Any) -> dict[str, Any]:
    """One step of a plan."""
    return {"id": step_id, "tool": tool, "input": given, "depends_on": list(depends_on)}


def note(step_id: str, *depends_on: str, text: str = "x") -> dict[str, Any]:
    """A step that creates a record."""
    return step(step_id, "create_record", *depends_on, collection="notes", data={"text": text})
