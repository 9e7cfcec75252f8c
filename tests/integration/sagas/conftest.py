"""One running system per module, and the providers' own books as witnesses."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apex.app.submit import Goal
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Head
from apex.schema.plan import Plan
from infra.local.session import LocalSession

TRIP = "Book a flight to {city} tomorrow, reserve a hotel near {place} and charge {amount} to my card"


@dataclass
class System:
    """The running system, seen from outside."""

    session: LocalSession

    def run(self, goal: str, *, plan: dict[str, Any] | None = None, key: str | None = None, tenant: str = "acme") -> "Run":
        """Submit and wait for the end."""
        submitted = self.session.submit(
            Goal(
                tenant=tenant,
                user_id="ana",
                text=goal,
                idempotency_key=key or str(uuid4()),
                plan=None if plan is None else Plan.model_validate(plan),
            )
        )
        head = self.session.wait(submitted.head.ref, timeout=timedelta(seconds=60))
        return Run(self, head)

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

    @property
    def states(self) -> dict[str, EffectState]:
        """What the ledger says of each step."""
        return {step: entry.state for step, entry in self.system.session.house.store.entries(self.ref).items()}


@pytest.fixture(scope="module")
def running() -> Iterator[System]:
    """A system that stays up for the module."""
    with LocalSession() as session:
        yield System(session)


@pytest.fixture
def system(running: System) -> System:
    """The running system with empty books at the providers."""
    for provider in running.session.providers.urls:
        running.ask(provider, "/reset", {})
    return running


def step(step_id: str, tool: str, *depends_on: str, **given: Any) -> dict[str, Any]:
    """One step of a plan."""
    return {"id": step_id, "tool": tool, "input": given, "depends_on": list(depends_on)}


def note(step_id: str, *depends_on: str, text: str = "x") -> dict[str, Any]:
    """A step that creates a record."""
    return step(step_id, "create_record", *depends_on, collection="notes", data={"text": text})
