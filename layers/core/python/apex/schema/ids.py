"""Names that are computed, so that doing a thing twice names the same thing."""

import json
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid5

NAMESPACE = UUID("6f6e7a0c-6c0e-5d3b-9a53-0a9e5d6c7e10")


@dataclass(frozen=True, slots=True, order=True)
class WorkflowRef:
    """One workflow of one tenant; nothing is ever looked up without the tenant."""

    tenant: str
    workflow_id: str

    def __str__(self) -> str:
        return self.workflow_id


def workflow_id_for(tenant: str, idempotency_key: str) -> str:
    """UUIDv5 of (tenant, key): submitting the same key twice is the same workflow."""
    return str(uuid5(NAMESPACE, json.dumps([tenant, idempotency_key])))


def effect_key(
    workflow_id: str, step_id: str, direction: Literal["run", "undo"], epoch: int = 0, undo_round: int = 0
) -> str:
    """The idempotency key of one logical effect, the same on every attempt.

    ``undo_round`` counts how often the effect had to be undone anew. The parts are joined as a JSON array, so that no
    choice of step names makes two effects share a key.
    """
    parts = [workflow_id, step_id, direction, epoch]
    return str(uuid5(NAMESPACE, json.dumps([*parts, undo_round] if undo_round else parts)))


def execution_name(workflow_id: str, generation: int, *, rollback: bool = False) -> str:
    """Name of a Step Functions execution; a name cannot be reused for 90 days, so it carries the generation."""
    return f"{workflow_id}-{generation}{'-rb' if rollback else ''}"
