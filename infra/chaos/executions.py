"""The engine's side of ``apex.ports.Executions``: starts executions, stops them, and says when one has ended badly."""

import json
from collections.abc import Callable
from typing import Any

from apex.errors import StoreError
from apex.schema.ids import execution_name
from infra.chaos.asl import Execution, Surroundings, definition
from infra.chaos.faults import Fault, Plot
from infra.chaos.scheduler import Scheduler

ENDED_BADLY = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


class SimulatedExecutions:
    """Runs both machines. ``tell`` is handed the status-change event of each execution that ended badly."""

    def __init__(self, scheduler: Scheduler, plot: Plot, tell: Callable[[dict[str, Any]], None]) -> None:
        self._scheduler = scheduler
        self._plot = plot
        self._tell = tell
        self._all: dict[str, Execution] = {}
        self.around: Surroundings | None = None

    def start_agent(self, tenant: str, workflow_id: str, generation: int) -> str:
        """Start ``agent_workflow``; nothing happens where that name was used."""
        name = execution_name(workflow_id, generation)
        return self._start("agent_workflow", name, tenant, workflow_id, generation)

    def start_rollback(self, tenant: str, workflow_id: str, generation: int) -> str:
        """Start ``rollback``; nothing happens where that name was used."""
        name = execution_name(workflow_id, generation, rollback=True)
        return self._start("rollback", name, tenant, workflow_id, generation)

    def _start(self, machine: str, name: str, tenant: str, workflow_id: str, generation: int) -> str:
        self._scheduler.pause(f"start {name}")
        if self._plot.strikes(Fault.START_LOST):
            raise StoreError("Step Functions answered ServiceUnavailable")
        if self.around is None:
            raise RuntimeError("the engine has no functions yet")
        if name not in self._all:
            given = {"tenant": tenant, "workflow_id": workflow_id, "generation": generation}
            execution = Execution(name, definition(machine), given, self._scheduler, self.around)
            self._all[name] = execution
            execution.start(self._ended)
        return name

    def agent_status(self, workflow_id: str, generation: int) -> str | None:
        """Status of that execution, or None."""
        return self._status(execution_name(workflow_id, generation))

    def rollback_status(self, workflow_id: str, generation: int) -> str | None:
        """Status of that execution, or None."""
        return self._status(execution_name(workflow_id, generation, rollback=True))

    def _status(self, name: str) -> str | None:
        self._scheduler.pause()
        return self._all[name].status if name in self._all else None

    def _ended(self, execution: Execution) -> None:
        self._scheduler.note(f"{execution.name} {execution.status}")
        if execution.status in ENDED_BADLY:
            detail = {"name": execution.name, "status": execution.status, "input": json.dumps(execution.given)}
            self._tell({"detail-type": "Step Functions Execution Status Change", "detail": detail})

    @property
    def all(self) -> list[Execution]:
        """Every execution so far."""
        return list(self._all.values())
