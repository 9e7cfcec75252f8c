"""A plan is data: a directed acyclic graph of tool calls. Whether it may run is decided in
``apex.workflow.validation``."""

from typing import Annotated

from pydantic import Field, StringConstraints

from apex.schema.wire import FrozenDict, FrozenJson, RecordModel

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
"""Step and tool names: they appear in keys, references and state machine payloads, so they stay plain and short."""


class Step(RecordModel):
    """One tool call. ``input`` may refer to results of the steps in ``depends_on``, as in ``{{s1.flight_id}}``."""

    id: Identifier
    tool: Identifier
    input: FrozenJson = Field(default_factory=FrozenDict)
    depends_on: tuple[Identifier, ...] = ()
    compensation: str | None = None
    """Name of the undo the planner expects; when given it must be the one that the tool's contract declares."""


class Plan(RecordModel):
    """The steps in the order in which they were proposed."""

    steps: tuple[Step, ...]

    def step(self, step_id: str) -> Step:
        """The step of that id; raises ``KeyError`` where there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


class PlannedBy(RecordModel):
    """Where a plan came from, as shown to people: which planner, and from which template if any."""

    planner: str
    cache_hit: bool = False
    template_id: str | None = None
