"""A whole system on this machine, ready for goals: the outside world, the local cloud on top of it, and a tenant's
data."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from apex import faults
from apex.app.house import House, Settings, build_house
from apex.app.janitor import look_after
from apex.app.submit import Goal, Submitted, submit
from apex.errors import LocalCloudError, ToolRejected
from apex.ports.store import RecordWrite
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef, execution_name
from apex.schema.ledger import Head, Mode
from infra.local.cloud import Isolation, LocalCloud
from infra.local.lambdas import AroundInvoke
from infra.local.lambdas.logs import LogLine
from infra.local.providers import Providers

_POLL_SECONDS = 0.02
_LOOK_SECONDS = 1.0
_IDLE_SECONDS = 150.0
"""A workflow on which nothing worked for so long was passed over by two sweeps of the janitor."""
_ALL = 100_000
"""More workflows than one machine has open."""
_AT_WORK = frozenset({Mode.RUNNING, Mode.ROLLING_BACK})
SAMPLE_CUSTOMER = {"name": "Ana Ruiz", "email": "ana@example.com", "card": "card-on-file"}


def _ignore(line: LogLine) -> None:
    """The handlers' log lines go nowhere unless somebody asks for them."""


class LocalSession:
    """Providers and local cloud together; a context manager.

    ``data_dir`` keeps everything on disk, the providers' books included; what an earlier process left unfinished there
    goes on by itself, if this one ``carries_on``. ``injector`` listens at the fault points of this process,
    ``around_invoke`` wraps every call of a function. ``on_log`` gets the handlers' log lines. ``time_scale`` shortens
    waits, retry pauses and schedules.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        isolation: Isolation = "threads",
        injector: faults.Injector | None = None,
        around_invoke: AroundInvoke | None = None,
        on_log: Callable[[LogLine], None] = _ignore,
        time_scale: float = 1.0,
        carries_on: bool = True,
    ) -> None:
        self._data_dir = data_dir
        self._carries_on = carries_on
        self._isolation: Isolation = isolation
        self._injector = injector
        self._around_invoke = around_invoke
        self._on_log = on_log
        self._time_scale = time_scale
        self._stack = ExitStack()
        self.cloud: LocalCloud
        self.house: House
        self.providers: Providers

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            provider_dir = None if self._data_dir is None else self._data_dir / "providers"
            self.providers = stack.enter_context(Providers.start(provider_dir))
            parameters = {f"{name.capitalize()}Url": url for name, url in self.providers.urls.items()}
            self.cloud = stack.enter_context(self._local_cloud(parameters))
            if self._injector is not None:
                stack.enter_context(faults.injected(self._injector))
            self.house = build_house(
                self._settings(), {name: self.cloud.client(name) for name in ("dynamodb", "s3", "stepfunctions")}
            )
            if self._data_dir is not None and self._carries_on:
                self._carry_on()
            self._stack = stack.pop_all()
        return self

    def _carry_on(self) -> None:
        """Executions end with their process: of every open workflow there is none, whatever an earlier process had
        begun."""
        for ref in self.house.store.open_workflows(limit=_ALL):
            look_after(self.house, ref, unstarted_after=timedelta(0))

    def _local_cloud(self, parameters: dict[str, str]) -> LocalCloud:
        return LocalCloud(
            self._data_dir,
            self._isolation,
            parameters,
            around_invoke=self._around_invoke,
            on_log=self._on_log,
            time_scale=self._time_scale,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _settings(self) -> Settings:
        named = self.cloud.outputs
        return Settings(
            journal_table=named["JournalTable"],
            state_table=named["StateTable"],
            records_table=named["RecordsTable"],
            payload_bucket=named["PayloadBucket"],
            agent_machine_arn=named["AgentWorkflowMachineArn"],
            rollback_machine_arn=named["RollbackMachineArn"],
        )

    def submit(self, goal: Goal) -> Submitted:
        """Accept a goal and start it; the tenant gets a sample customer ``me`` on first use."""
        self._seed(goal.tenant)
        return submit(self.house, goal)

    def _seed(self, tenant: str) -> None:
        store = self.house.store
        if store.read_record("records", tenant, "customers#me") is None:
            store.put_record(RecordWrite("records", tenant, "customers#me", SAMPLE_CUSTOMER))

    def wait(
        self,
        ref: WorkflowRef,
        *,
        timeout: timedelta = timedelta(minutes=5),
        on_event: Callable[[JournalEvent], None] | None = None,
    ) -> Head:
        """Wait until the workflow is final and its executions have ended, showing each journal event to ``on_event``
        as it comes.

        Raises ``LocalCloudError`` when that takes longer than ``timeout``, or when nothing works on the workflow any
        more.
        """
        ends = time.monotonic() + timeout.total_seconds()
        next_look = time.monotonic() + _LOOK_SECONDS
        worked_at, worked_on = time.monotonic(), None
        seen = 0
        while True:
            head = self.house.store.head(ref)
            for event in self.house.store.events(ref, after=seen) if head.seq > seen else ():
                seen = event.seq
                if on_event is not None:
                    on_event(event)
            if head.mode.is_final and seen >= head.seq and not self._running(ref, head.generation):
                return head
            if time.monotonic() > ends:
                raise LocalCloudError(f"workflow {ref.workflow_id} is still {head.mode.value} after {timeout}")
            if time.monotonic() > next_look:
                if head.mode not in _AT_WORK or head != worked_on or self._running(ref, head.generation):
                    worked_at, worked_on = time.monotonic(), head
                elif time.monotonic() > worked_at + max(_IDLE_SECONDS * self._time_scale, 5 * _LOOK_SECONDS):
                    raise self._nothing_works(ref, head)
                next_look = time.monotonic() + _LOOK_SECONDS
            time.sleep(_POLL_SECONDS)

    def _nothing_works(self, ref: WorkflowRef, head: Head) -> LocalCloudError:
        told = f"workflow {ref.workflow_id} is {head.mode.value}, but nothing works on it"
        arns = self.executions(ref, head.generation)
        if not arns:
            return LocalCloudError(f"{told}: it has no execution")
        last = self.cloud.client("stepfunctions").describe_execution(executionArn=arns[-1])
        why = f"{last.get('error', 'no error')} {last.get('cause', '')}".rstrip()
        return LocalCloudError(f"{told}: execution {last['name']} ended {last['status']}: {why}")

    def transitions(self, ref: WorkflowRef) -> int:
        """State transitions of all executions of the workflow: what Step Functions bills."""
        return sum(event["type"].endswith("StateEntered") for event in self.history(ref))

    def history(self, ref: WorkflowRef) -> list[dict[str, Any]]:
        """The history events of all executions of the workflow, oldest execution first."""
        found: list[dict[str, Any]] = []
        client = self.cloud.client("stepfunctions")
        for arn in self.executions(ref, self.house.store.head(ref).generation):
            for page in client.get_paginator("get_execution_history").paginate(executionArn=arn):
                found += page["events"]
        return found

    def _running(self, ref: WorkflowRef, generation: int) -> bool:
        client = self.cloud.client("stepfunctions")
        return any(
            client.describe_execution(executionArn=arn)["status"] == "RUNNING"
            for arn in self.executions(ref, generation)
        )

    def executions(self, ref: WorkflowRef, generation: int) -> list[str]:
        """ARNs of the executions that exist, computed from the generations: no list has to be searched."""
        client = self.cloud.client("stepfunctions")
        settings = self._settings()
        arns = []
        for number in range(1, generation + 1):
            for machine, is_rollback in ((settings.agent_machine_arn, False), (settings.rollback_machine_arn, True)):
                name = execution_name(ref.workflow_id, number, rollback=is_rollback)
                arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
                try:
                    client.describe_execution(executionArn=arn)
                except client.exceptions.ExecutionDoesNotExist:
                    continue
                arns.append(arn)
        return arns


def failing(target: str) -> faults.Injector:
    """An injector that has every attempt of one step refused, as a provider would refuse it; ``target`` is a step id
    or a tool name."""

    def strike(reached: faults.Reached) -> None:
        if reached.point is faults.FaultPoint.AFTER_INTENT and target in (reached.step_id, reached.tool):
            raise ToolRejected(f"made to fail by --fail {target}")

    return strike
