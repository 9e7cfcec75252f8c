"""What a tool declares about itself. Everything that plans, checks, runs, prices or deploys a tool reads only this."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from apex.schema.plan import Identifier
from apex.schema.wire import FrozenJson, RecordModel


class Effect(StrEnum):
    """What a tool does to the world outside."""

    NONE = "none"
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


class Lane(StrEnum):
    """What policy says about a step, mildest first."""

    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"
    BLOCKED = "BLOCKED"


class UndoOfAbsent(StrEnum):
    """What a tool's undo does when the effect never happened."""

    FENCES = "fences"
    """It leaves a tombstone at the provider: a late request with that key will be refused."""
    TOLERATES = "tolerates"
    """It does nothing and succeeds."""
    FAILS = "fails"
    """It must not be called unless the effect is known to exist."""


class Contract(RecordModel):
    """A tool's contract.

    Times: ``timeout`` is what one call of ``run``, ``undo`` or ``probe`` may take. ``settles_within`` is how long
    after its deadline a request that is still under way may land. ``idempotency_window`` is how long the provider
    remembers a key; outside it the tool is never called again for the same effect (zero: never called twice).
    """

    name: Identifier
    description: str = Field(min_length=10)
    examples: tuple[str, ...] = ()
    """Goals in plain language that this tool answers: the planners learn from them."""
    lane: Lane = Lane.GREEN
    effect: Effect
    compensation: Identifier | None = None
    """The name of the undo; shown in plans and events."""
    can_probe: bool = False
    undo_of_absent: UndoOfAbsent = UndoOfAbsent.FAILS
    transactional: bool = False
    """The effect is a row of our own, written in one transaction with the ledger: exactly once, no probe needed."""
    settles_within: timedelta = timedelta(0)
    idempotency_window: timedelta = timedelta(0)
    timeout: timedelta = timedelta(seconds=10)
    price: Decimal = Decimal(0)
    """US dollars per call, for budgets."""
    service: str | None = None
    """The outside service it talks to; its address comes from the environment."""
    tables: tuple[str, ...] = ()
    """Tables of its own that it may write."""
    undo_attempts: int = Field(default=5, ge=1, le=20)
    version: str = "1"
    input_schema: FrozenJson
    output_schema: FrozenJson

    @model_validator(mode="after")
    def _hangs_together(self) -> "Contract":
        if (self.effect is Effect.REVERSIBLE) != (self.compensation is not None):
            raise ValueError("a reversible tool has an undo, and only a reversible one")
        if self.timeout <= timedelta(0) or self.timeout > timedelta(seconds=880):
            raise ValueError("timeout must be above 0 s and leave Lambda's 900 s room to commit (at most 880 s)")
        return self

    @property
    def function_timeout(self) -> timedelta:
        """Timeout of the tool's Lambda function: its own time plus the reserve to commit the outcome."""
        return self.timeout + COMMIT_RESERVE

    @property
    def state_timeout_seconds(self) -> int:
        """``TimeoutSeconds`` of the state that calls the function: longer than the function itself can take."""
        return int(self.function_timeout.total_seconds()) + 10

    def summary(self) -> dict[str, Any]:
        """What a person or a planner needs to know, as plain data."""
        return self.model_dump(mode="json")


COMMIT_RESERVE = timedelta(seconds=5)
"""Kept back from the function's deadline, so that an outcome can still be written."""
LEASE_MARGIN = timedelta(seconds=5)
"""A lease ends this long after the function's deadline: clocks differ, and a killed function takes a moment to die."""
