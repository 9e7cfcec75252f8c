"""Accepts a goal: from here on the workflow exists, and will end or be parked."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from apex.app.facts import stamp
from apex.app.house import House
from apex.errors import InvalidInput, KeyReused
from apex.ports.store import NewWorkflow
from apex.schema.events import GoalReceived
from apex.schema.ids import workflow_id_for
from apex.schema.ledger import Head, Mode
from apex.schema.plan import Plan
from apex.schema.wire import freeze

MAX_GOAL_BYTES = 8 * 1024
DEFAULT_DEADLINE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Goal:
    """What an application hands over. ``plan`` is for callers that bring their own."""

    tenant: str
    user_id: str
    text: str
    idempotency_key: str
    context: dict[str, Any] = field(default_factory=dict)
    plan: Plan | None = None
    correlation_id: str = field(default_factory=lambda: str(uuid4()))
    deadline: timedelta = DEFAULT_DEADLINE

    def request_hash(self) -> str:
        """Digest of what was asked for; ids and timestamps are not part of it."""
        plan = None if self.plan is None else self.plan.model_dump(mode="json")
        asked = {"goal": self.text, "user_id": self.user_id, "context": self.context, "plan": plan}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The workflow as it stands after the submit; ``created`` is False where the key was used before."""

    head: Head
    created: bool


def submit(house: House, goal: Goal) -> Submitted:
    """Accept a goal and start its execution.

    The same key again returns the workflow as it stands, and raises ``KeyReused`` where the payload differs. Raises
    ``InvalidInput`` for an empty or oversized goal.
    """
    _check(goal)
    now = house.clock.now()
    head = Head(
        tenant=goal.tenant,
        workflow_id=workflow_id_for(goal.tenant, goal.idempotency_key),
        mode=Mode.RUNNING,
        seq=1,
        generation=1,
        correlation_id=goal.correlation_id,
        request_hash=goal.request_hash(),
        created_at=now,
        deadline=now + goal.deadline,
        submitted_plan=goal.plan is not None,
    )
    received = GoalReceived(**stamp(head, now), goal=goal.text, user_id=goal.user_id, context=goal.context or None)
    stored = house.store.create(NewWorkflow(head, received, goal.plan))
    if stored is not None and stored.request_hash != head.request_hash:
        raise KeyReused(
            f"the key was used before, for workflow {stored.workflow_id}, with a different payload",
            workflow_id=stored.workflow_id,
        )
    current = stored or head
    if current.mode is Mode.RUNNING:
        # Also when the workflow existed: whoever accepted it may have died before starting it.
        house.executions.start_agent(current.tenant, current.workflow_id, current.generation)
    return Submitted(current, created=stored is None)


def _check(goal: Goal) -> None:
    try:
        freeze({"tenant": goal.tenant, "goal": goal.text, "key": goal.idempotency_key, "user": goal.user_id})
        freeze({"context": goal.context})
    except ValueError as error:
        raise InvalidInput(f"the goal is not JSON: {error}") from error
    if not goal.tenant.strip():
        raise InvalidInput("the tenant is empty")
    if not goal.text.strip():
        raise InvalidInput("the goal is empty")
    if len(goal.text.encode()) > MAX_GOAL_BYTES:
        raise InvalidInput(f"the goal is longer than {MAX_GOAL_BYTES} bytes: hand over large data in the context")
    if not goal.idempotency_key:
        raise InvalidInput("the idempotency key is empty")
