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
        self._statuses: dict[str, str] = {}
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

    def end(self, name: str, status: str) -> None:
        """Say how the execution of that name ended; until then it is RUNNING."""
        with self._lock:
            self._statuses[name] = status

    def agent_status(self, workflow_id: str, generation: int) -> str | None:
        """Status of an execution of ``agent_workflow``, or None where nobody asked for it."""
        return self._status("agent_workflow", workflow_id, generation)

    def rollback_status(self, workflow_id: str, generation: int) -> str | None:
        """Status of an execution of ``rollback``, or None where nobody asked for it."""
        return self._status("rollback", workflow_id, generation)

    def _status(self, machine: str, workflow_id: str, generation: int) -> str | None:
        name = execution_name(workflow_id, generation, rollback=machine == "rollback")
        with self._lock:
            known = any(
                (s.machine, s.workflow_id, s.generation) == (machine, workflow_id, generation) for s in self._started
            )
            return self._statuses.get(name, "RUNNING") if known else None
