"""Executions that are only written down."""

import threading
from typing import Literal, NamedTuple

from apex.schema.ids import execution_name


class Started(NamedTuple):
    """An execution that somebody asked for."""

    machine: Literal["agent_workflow", "rollback"]
    tenant: str
    workflow_id: str
    generation: int


class RecordingExecutions:
    """``Executions`` that runs nothing: ``started`` tells what would run, and ``end`` says how it went."""

    def __init__(self) -> None:
        self._started: dict[Started, None] = {}  # a set that remembers the order
        self._lock = threading.Lock()

    @property
    def started(self) -> list[Started]:
        """Every execution asked for so far, once, in the order of asking."""
        with self._lock:
            return list(self._started)

    def start_agent(self, tenant: str, workflow_id: str, generation: int) -> str:
        """Note an execution of ``agent_workflow``; answers its name."""
        return self._start(Started("agent_workflow", tenant, workflow_id, generation))

    def start_rollback(self, tenant: str, workflow_id: str, generation: int) -> str:
        """Note an execution of ``rollback``; answers its name."""
        return self._start(Started("rollback", tenant, workflow_id, generation))

    def _start(self, wanted: Started) -> str:
        with self._lock:
            self._started.setdefault(wanted)
        return execution_name(wanted.workflow_id, wanted.generation, rollback=wanted.machine == "rollback")
