"""The read model and the dead letters in memory."""

import threading
from collections.abc import Mapping
from typing import Any

from apex.errors import InvalidInput
from apex.schema.ids import WorkflowRef
from apex.workflow.fold import WorkflowState


class MemoryInstances:
    """``WorkflowInstances`` for one process, safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[WorkflowRef, WorkflowState] = {}

    def get(self, ref: WorkflowRef) -> WorkflowState | None:
        """The summary that is kept, or None."""
        with self._lock:
            return self._kept.get(ref)

    def put(self, kept: WorkflowState, *, after: int) -> bool:
        """Keep a summary in the place of the one of event ``after``."""
        ref = WorkflowRef(kept.tenant, kept.workflow_id)
        with self._lock:
            before = self._kept.get(ref)
            if (0 if before is None else before.seq) != after:
                return False
            self._kept[ref] = kept
        return True

    def of_tenant(self, tenant: str, *, limit: int = 50) -> list[WorkflowState]:
        """The tenant's newest workflows, newest first."""
        if not tenant:
            raise InvalidInput("the tenant is empty")
        with self._lock:
            mine = [kept for ref, kept in self._kept.items() if ref.tenant == tenant and kept.accepted_at]
        return sorted(mine, key=lambda kept: (str(kept.accepted_at), kept.workflow_id), reverse=True)[:limit]


class MemoryDeadLetters:
    """``DeadLetters`` as a list."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []

    def set_aside(self, letter: Mapping[str, Any]) -> None:
        """Keep it."""
        self.letters.append(dict(letter))
