"""The read model of workflows, and the place for records that nobody can process."""

from collections.abc import Mapping
from typing import Any, Protocol

from apex.schema.ids import WorkflowRef
from apex.workflow.fold import WorkflowState


class WorkflowInstances(Protocol):
    """One summary per workflow, brought up to date by the events of its journal. Methods may raise ``StoreError``."""

    def get(self, ref: WorkflowRef) -> WorkflowState | None:
        """The summary that is kept, or None."""
        ...

    def put(self, kept: WorkflowState, *, after: int) -> bool:
        """Keep a summary in the place of the one of event ``after`` (0: of none). False where another one is there."""
        ...

    def of_tenant(self, tenant: str, *, limit: int = 50) -> list[WorkflowState]:
        """The tenant's newest workflows, newest first."""
        ...


class DeadLetters(Protocol):
    """Where a record goes that can never be processed, so that it holds up no other."""

    def set_aside(self, letter: Mapping[str, Any]) -> None:
        """Keep it for a person. Raises ``StoreError`` where it cannot be kept."""
        ...
