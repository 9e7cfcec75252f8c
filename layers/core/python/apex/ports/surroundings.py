"""Time, and the engine that runs state machines."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from; a simulator brings its own."""

    def now(self) -> datetime:
        """The current time, with an offset."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class Executions(Protocol):
    """Starts executions of the two state machines; starting one that was started before changes nothing."""

    def start_agent(self, tenant: str, workflow_id: str, generation: int) -> str:
        """Start ``agent_workflow`` for that generation; answers the execution's name."""
        ...

    def start_rollback(self, tenant: str, workflow_id: str, generation: int) -> str:
        """Start ``rollback`` for that generation; answers the execution's name."""
        ...

    def agent_status(self, workflow_id: str, generation: int) -> str | None:
        """Status of that execution of ``agent_workflow`` (RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED), or None
        where there is none."""
        ...

    def rollback_status(self, workflow_id: str, generation: int) -> str | None:
        """Status of that execution of ``rollback``, or None where there is none."""
        ...
