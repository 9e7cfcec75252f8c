"""One run of one program: the application's own code on simulated surroundings, until everything has ended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

import apex.app.plans
import apex.app.run_step
from apex import faults as fault_points
from apex.adapters.dynamodb.store import DynamoStore, StoreNames
from apex.app.house import House
from apex.app.janitor import attend
from apex.app.publish import envelope_of
from apex.app.submit import Goal, submit
from apex.errors import ApexError, StoreError
from apex.faults import FaultPoint, Reached
from apex.policy.lanes import Verdict
from apex.schema.contract import Contract, Lane
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef, workflow_id_for
from apex.schema.ledger import Head
from apex.schema.plan import Plan
from infra.chaos.asl import Execution
from infra.chaos.executions import SimulatedExecutions
from infra.chaos.faults import Fault, Plot
from infra.chaos.lambdas import Functions
from infra.chaos.operators import Operators
from infra.chaos.own_tools import Tools
from infra.chaos.programs import Program
from infra.chaos.scheduler import Killed, Scheduler, StuckError
from infra.chaos.tables import MemoryBucket, MemoryTables
from infra.chaos.watch import Watch
from infra.chaos.world import World, enter, leave

_LONGEST = timedelta(hours=3)
_SWEEP_EVERY = 60.0
_runs = count()

_DEATHS: Mapping[FaultPoint, Fault] = {
    FaultPoint.BEFORE_INTENT: Fault.BEFORE_INTENT,
    FaultPoint.AFTER_INTENT: Fault.AFTER_INTENT,
    FaultPoint.AFTER_EFFECT: Fault.AFTER_EFFECT,
    FaultPoint.AFTER_OUTCOME: Fault.AFTER_OUTCOME,
    FaultPoint.AFTER_UNDO: Fault.DURING_UNDO,
    FaultPoint.AFTER_COMPENSATION: Fault.AFTER_COMPENSATION,
}
_STANDSTILLS: Mapping[FaultPoint, Fault] = {
    FaultPoint.AFTER_EFFECT: Fault.ZOMBIE,
    FaultPoint.AFTER_UNDO: Fault.UNDO_ZOMBIE,
}


@dataclass
class Ran:
    """A run that is over, with all that the checks look at. ``stuck`` says why it did not end by itself."""

    program: Program
    plan: Plan
    tools: Tools
    plot: Plot
    world: World
    store: DynamoStore
    tables: MemoryTables
    bucket: MemoryBucket
    watch: Watch
    executions: list[Execution]
    refs: list[WorkflowRef]
    digest: str
    errors: list[tuple[str, BaseException]]
    """With what functions ended that did not answer, by their names."""
    stuck: str | None = None
    knocks_changed: bool = False
    """Whether requests that came after the end changed anything."""

    def contract(self, tool: str) -> Contract:
        """The contract of a tool of this run."""
        return self.tools.registry[tool].contract

    @property
    def heads(self) -> list[Head]:
        """The heads of the workflows that were accepted, as they were written last."""
        heads = [self.watch.head(ref) for ref in self.refs]
        return [head for head in heads if head is not None]

    @property
    def rows(self) -> frozenset[str]:
        """Keys of the rows that transactional tools have written and not deleted."""
        return frozenset(item["sk"]["S"] for item in self.tables.rows("records"))


class Simulation:
    """Puts one run together."""

    def __init__(self, program: Program, tools: Tools) -> None:
        self.program = program
        self.tools = tools
        self.plan = program.plan(tools.inputs)
        self.plot = Plot(program.faults)
        self.scheduler = Scheduler(program.seed)
        self.world = World(self.scheduler, self.plot, program.natures())
        self.watch = Watch(self.scheduler, self._published)
        self.tables = MemoryTables(hook=self._before_call, applied=self.watch.applied)
        names = StoreNames("journal", "state", "payloads", self._records())
        self.bucket = MemoryBucket(self._before_object)
        self.store = DynamoStore(self.tables, names, s3=self.bucket, clock=self.scheduler)
        self.executions = SimulatedExecutions(self.scheduler, self.plot, self._tell)
        self.house = House(self.store, self.executions, self.scheduler)
        self.functions = Functions(self.house, tools.registry, self.scheduler, self.plot)
        self.executions.around = self
        # A user's own tools remember keys from one run to the next.
        self._key = f"{program.seed} {next(_runs)}" if tools.own else program.seed
        self.refs = [
            WorkflowRef(tenant, workflow_id_for(tenant, self._key))
            for tenant in ("tenant-a", "tenant-b")[: program.tenants]
        ]
        self.operators = Operators(self.house, self.scheduler, self.plot, self.world, self.watch)
        self._over = False
        self.knocks_changed = False

    def _records(self) -> dict[str, str]:
        """All tables of all tools are one here."""
        tables = [table for tool in self.tools.registry for table in tool.contract.tables]
        return dict.fromkeys(tables, "records")

    def run(self) -> Ran:
        """Let it happen; what the checks need comes back."""
        stuck = None
        enter(self.world)
        try:
            with fault_points.injected(self._at_point), _everything_approved():
                stuck = self._happen()
        finally:
            leave()
        return Ran(
            program=self.program,
            plan=self.plan,
            tools=self.tools,
            plot=self.plot,
            world=self.world,
            store=self.store,
            tables=self.tables,
            bucket=self.bucket,
            watch=self.watch,
            executions=self.executions.all,
            refs=self.refs,
            digest=self.scheduler.digest(),
            errors=self.scheduler.errors(),
            stuck=stuck,
            knocks_changed=self.knocks_changed,
        )

    def _happen(self) -> str | None:
        for ref in self.refs:
            self.scheduler.spawn(f"submit {ref.tenant}", partial(self._submit, ref))
        if any(planned.fault is Fault.OPERATOR_RESUMES for planned in self.program.faults):
            for ref in self.refs:
                self.scheduler.spawn(f"operator {ref.tenant}", partial(self.operators.resumes, ref))
        self.scheduler.spawn("sweeper", self._sweep_for_ever, background=True)
        stuck = None
        try:
            self.scheduler.run(self._everything_ended)
            if not self._everything_ended():
                stuck = "nobody is left who could bring the workflow to its end"
            elif self.scheduler.elapsed() > _LONGEST:
                stuck = f"not ended after {_LONGEST}"
            if stuck is None:
                self._knock()
        except StuckError as error:
            stuck = str(error)
        self._over = True
        self.scheduler.end()
        return stuck

    def _knock(self) -> None:
        """Everything has ended. Now every step is run and undone once more, by requests that come far too late: in the
        first generation and in the newest. None of it may change anything."""
        before = self.watch.transactions, {key: len(times) for key, times in self.world.ledger.applied.items()}
        self.plot.over = True
        for ref in self.refs:
            head = self.watch.head(ref)
            if head is None or head.plan_id is None:
                continue
            for step in self.plan.steps:
                for generation in {1, head.generation}:
                    for action in ("run", "undo"):
                        self.functions.deliver(step.tool, action, ref, step.id, generation)
        self.scheduler.run(lambda: self.scheduler.foreground == 0)
        self.plot.over = False
        after = self.watch.transactions, {key: len(times) for key, times in self.world.ledger.applied.items()}
        self.knocks_changed = before != after

    def _everything_ended(self) -> bool:
        if self.scheduler.elapsed() > _LONGEST:
            return True
        return self.scheduler.foreground == 0 and self.watch.all_final(self.refs)

    # ── who acts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _submit(self, ref: WorkflowRef) -> None:
        """A caller submits, and does so again while it gets no answer, but not for ever."""
        goal = Goal(ref.tenant, "user", "a goal", self._key, plan=self.plan, correlation_id="c")
        for _ in range(5):
            try:
                submit(self.house, goal)
            except StoreError:
                self.scheduler.sleep(1.0)
            else:
                return

    def _sweep_for_ever(self) -> None:
        while True:
            self.scheduler.sleep(_SWEEP_EVERY)
            self._attend({"detail-type": "Scheduled Event"})

    def _tell(self, event: dict[str, Any]) -> None:
        """An event goes to the janitor, some time later, unless it is lost."""
        if self._over or self.plot.strikes(Fault.EVENT_LOST):
            return
        delay = self.scheduler.random.choice((0.0, 0.02, 0.2, 1.0, 3.0))

        def arrive() -> None:
            self.scheduler.sleep(delay)
            self._attend(event)

        self.scheduler.spawn("janitor", arrive)

    def _attend(self, event: dict[str, Any]) -> None:
        try:
            attend(self.house, event)
        except ApexError as error:
            # As deployed: an event that fails is delivered again a few times, then the sweep is left.
            self.scheduler.note(f"janitor: {type(error).__name__}")

    def _published(self, event: JournalEvent) -> None:
        """The janitor hears of late effects through the bus."""
        if event.type == "LateEffectDetected":
            envelope = envelope_of(event)
            self._tell({"detail-type": envelope.event_type, "detail": envelope.to_wire()})

    # ── what the machines need (``Surroundings``) ───────────────────────────────────────────────────────────────

    def invoke(self, function: str, payload: dict[str, Any], timeout: timedelta) -> Any:
        """Call a function."""
        return self.functions.invoke(function, payload, timeout)

    def entered(self, execution: Execution, state: str) -> None:
        """At each boundary an execution can be stopped."""
        self.scheduler.pause(f"{execution.name} enters {state}")
        self._strike_from_outside()
        is_rollback = execution.name.endswith("-rb")
        if self.plot.strikes(Fault.ROLLBACK_STOPPED if is_rollback else Fault.EXECUTION_STOPPED):
            execution.stop()

    def _strike_from_outside(self) -> None:
        """People act whenever they like: the occasions are the boundaries of states and the named points of steps."""
        planned = self.plot.strikes(Fault.OPERATOR_COMPENSATES)
        if planned is not None:
            for ref in self.refs:
                act = partial(self.operators.compensates, ref, planned.delay)
                self.scheduler.spawn(f"operator {ref.tenant}", act)

    # ── where faults strike ─────────────────────────────────────────────────────────────────────────────────────

    def _at_point(self, reached: Reached) -> None:
        self.scheduler.pause(f"{reached.step_id} {reached.point.value}")
        self._strike_from_outside()
        step = int(reached.step_id.removeprefix("s")) - 1
        death = _DEATHS.get(reached.point)
        if death is not None and self.plot.strikes(death, step):
            raise Killed
        standstill = _STANDSTILLS.get(reached.point)
        planned = self.plot.strikes(standstill, step) if standstill is not None else None
        if planned is not None:
            self.world.stand_still(planned.delay)

    def _before_call(self, call: str, writes: Sequence[Mapping[str, Any]]) -> str | None:
        if self.scheduler.current is None:
            return None
        self._take_time(call)
        if self.plot.strikes(Fault.THROTTLED):
            return "throttled"
        if not writes:
            return None
        if self.plot.strikes(Fault.APPEND_CONFLICT):
            return "conflict"
        if self.plot.strikes(Fault.APPEND_REJECTED):
            return "lost"
        return "applied_no_answer" if self.plot.strikes(Fault.APPEND_TIMED_OUT) else None

    def _take_time(self, call: str) -> None:
        """A call takes a few milliseconds, or none: both put others in between, in different ways."""
        if self.scheduler.random.random() < 0.5:
            self.scheduler.sleep(self.scheduler.random.uniform(0.001, 0.02))
        else:
            self.scheduler.pause(call)

    def _before_object(self) -> None:
        self.scheduler.pause("put_object")
        if self.plot.strikes(Fault.PAYLOAD_OVERSIZED):
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "as the fault has it"}}, "PutObject")


@contextmanager
def _everything_approved() -> Iterator[None]:
    """Irreversible tools run only with a person's approval; here every call counts as approved, and nothing else of the
    policy is at stake."""

    def approve(tool: str, resolved_input: Any, *, contract: Any) -> Verdict:  # noqa: ARG001
        return Verdict(Lane.YELLOW, ("approved for the simulation",), "approved")

    places = ((apex.app.plans, "assess"), (apex.app.run_step, "check_policy"))
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, approve)
    try:
        yield
    finally:
        for (module, name), policy in zip(places, before, strict=True):
            setattr(module, name, policy)
