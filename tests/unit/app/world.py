"""One workflow on the memory store, moved by hand: what a state machine would call, called by the test."""

from collections.abc import Iterable
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from apex.adapters.memory import ManualClock, MemoryStore, RecordingExecutions
from apex.app.close import close_workflow
from apex.app.house import House
from apex.app.plans import find_plan
from apex.app.requests import StepRequest
from apex.app.rollback import Door, list_steps, start_rollback
from apex.app.run_step import run_step
from apex.app.submit import Goal, submit
from apex.app.undo_step import undo_step
from apex.errors import StepBusy, UndoFailed
from apex.ports import PlanProposal, PlanRequest
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Entry, Failure, Head
from apex.schema.plan import Plan, Step
from apex.tools import Tool
from apex.tools.registry import Registry
from apex.workflow.fold import WorkflowState, fold

LEASE = timedelta(seconds=20)
"""Lease of a tool with the usual timeout: 10 s to act, 5 s to commit, 5 s margin."""
FAILURE = Failure(step_id="s1", error="StepRejected", message="the shop refuses")

AnyTool = Tool[Any, Any]


class NoIndex:
    """``PlanIndex`` that knows nothing: the workflows here bring their plans."""

    def find(self, request: PlanRequest) -> PlanProposal | None:
        """Nothing."""


class World:
    """A house in memory, the tools, and one workflow whose plan is accepted."""

    def __init__(self, *tools: AnyTool, steps: Iterable[Step] | None = None, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.store = MemoryStore()
        self.executions = RecordingExecutions()
        self.house = House(self.store, self.executions, self.clock)
        self.registry = Registry(MappingProxyType({tool.name: tool for tool in tools}))
        plan = Plan(steps=tuple(steps or [Step(id="s1", tool=tools[0].name)]))
        goal = Goal("acme", "ana", "order a lamp", "key-1", plan=plan)
        self.ref: WorkflowRef = submit(self.house, goal).head.ref
        self.waves = find_plan(self.house, self.registry, NoIndex(), self.ref, 1)["waves"]

    # ── what a state machine calls ──────────────────────────────────────────────────────────────────────────

    def run(self, step_id: str = "s1", *, tool: AnyTool | None = None, generation: int = 1) -> str:
        """Run a step; answers its outcome."""
        tool = tool or self.tool_of(step_id)
        answer = run_step(self.house, tool, self.request(tool, step_id, generation))
        assert answer["step_id"] == step_id
        return str(answer["outcome"])

    def undo(self, step_id: str = "s1", *, tool: AnyTool | None = None, generation: int | None = None) -> str:
        """Undo a step; answers its outcome."""
        tool = tool or self.tool_of(step_id)
        answer = undo_step(self.house, tool, self.request(tool, step_id, generation or self.head.generation))
        assert answer["step_id"] == step_id
        return str(answer["outcome"])

    def request(self, tool: AnyTool, step_id: str = "s1", generation: int = 1) -> StepRequest:
        """A request whose function is stopped when its tool's own would be."""
        return StepRequest(self.ref, step_id, generation, self.clock.now() + tool.contract.function_timeout)

    def roll_back(self, door: Door = "catch", failure: Failure = FAILURE) -> dict[str, Any]:
        """Open a door to the rollback."""
        return start_rollback(self.house, self.ref, self.head.generation, failure, door)

    def to_undo(self) -> list[str]:
        """Fence what never started; answers the steps that the rollback machine would undo, in its order."""
        found = list_steps(self.house, self.registry, self.ref, self.head.generation)
        return [call["step_id"] for call in found["steps"]]

    def close(self) -> str:
        """End the workflow; answers its status."""
        return str(close_workflow(self.house, self.ref, self.head.generation)["status"])

    def finish_rollback(self, *, pause: timedelta = timedelta(seconds=5)) -> str:
        """Do what the rollback machine does, its retries included; answers the status at the end."""
        for step_id in self.to_undo():
            while True:
                try:
                    self.undo(step_id)
                    break
                except (StepBusy, UndoFailed):
                    self.clock.advance(pause)
        return self.close()

    # ── what the test sees ──────────────────────────────────────────────────────────────────────────────────

    def tool_of(self, step_id: str) -> AnyTool:
        """The installed tool that the step calls."""
        return self.registry[next(step.tool for step in self.store.steps(self.ref) if step.id == step_id)]

    @property
    def head(self) -> Head:
        """The head as it is now."""
        return self.store.head(self.ref)

    def entry(self, step_id: str = "s1") -> Entry:
        """The step's line of the ledger."""
        return self.store.entries(self.ref, [step_id])[step_id]

    def state(self, step_id: str = "s1") -> EffectState:
        """What the ledger knows of the step."""
        entry = self.store.entries(self.ref).get(step_id)
        return EffectState.NONE if entry is None else entry.state

    @property
    def events(self) -> list[JournalEvent]:
        """The journal."""
        return list(self.store.events(self.ref))

    def kinds(self, step_id: str | None = None) -> list[str]:
        """The types of the events, of one step or all but the first two (goal and plan)."""
        return [event.type for event in self.events[2:] if step_id in (None, getattr(event, "step_id", None))]

    def last(self, kind: str) -> Any:
        """The newest event of one type."""
        return next(event for event in reversed(self.events) if event.type == kind)

    @property
    def folded(self) -> WorkflowState:
        """What the journal alone tells."""
        return fold(self.events)


def agrees(world: World) -> None:
    """The journal has no gaps and tells of every step exactly what the ledger says."""
    events, head, state = world.events, world.head, world.folded
    assert [event.seq for event in events] == list(range(1, head.seq + 1))
    assert (state.status, state.generation) == (head.mode, head.generation)
    entries = world.store.entries(world.ref)
    for step in state.steps:
        entry = entries.get(step.step_id)
        if entry is None:
            assert step.state is EffectState.NONE
            continue
        told = (step.state, step.attempts, step.undo_attempts, step.started_seq, step.result, step.error)
        kept = (entry.state, entry.attempt, entry.undo_attempt, entry.started_seq, entry.result, entry.error)
        assert told == kept, step.step_id
