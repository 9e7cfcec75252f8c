"""The running system as the benchmarks see it: start a saga, know when it has ended, count what it called."""

import json
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from apex.app.submit import Goal, submit
from apex.errors import LocalCloudError
from apex.schema.ids import WorkflowRef, execution_name
from apex.schema.ledger import Mode
from infra.local.lambdas.logs import LogLine
from infra.local.repairs.stepfunctions_executions import StatusChange, subscribe
from infra.local.session import LocalSession

TENANT = "bench"
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Done:
    """One saga that completed: how long after its submit its execution had ended, in seconds."""

    ref: WorkflowRef
    seconds: float


class System:
    """A local cloud with its providers, in threads of this process; with ``data_dir``, all is kept there."""

    def __init__(self, data_dir: Path | None = None) -> None:
        self.session = LocalSession(data_dir, on_log=self._count)
        self.invocations: Counter[str] = Counter()
        """Invocations by function, without the prefix of the environment."""
        self._ended: dict[str, Event] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        self.session.__enter__()
        self._unsubscribe = subscribe(self._on_status)
        # The goals of the trip speak of a customer; the session adds one at a tenant's first goal.
        self.session.submit(Goal(TENANT, "bench", 'Say "ready"', str(uuid4())))
        self.settle()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unsubscribe()
        self.session.__exit__(kind, error, trace)

    def run(self, goal: Goal) -> Done:
        """Carry a goal out; raises ``LocalCloudError`` when its workflow does not complete."""
        start = time.perf_counter()
        submitted = submit(self.session.house, goal)
        ref = submitted.head.ref
        if not self._event(execution_name(ref.workflow_id, 1)).wait(_LONGEST_SECONDS):
            raise LocalCloudError(f"workflow {ref.workflow_id} did not end within {_LONGEST_SECONDS:.0f} s")
        seconds = time.perf_counter() - start
        mode = self.session.house.store.head(ref).mode
        if mode is not Mode.COMPLETED:
            raise LocalCloudError(f"workflow {ref.workflow_id} is {mode.value}, which is nothing to measure")
        return Done(ref, seconds)

    def settle(self) -> None:
        """Wait until everything that the sagas so far have caused is delivered."""
        if not self.session.cloud.drain(_LONGEST_SECONDS):
            raise LocalCloudError("the local cloud did not finish its deliveries")

    def reset_providers(self) -> None:
        """Give the providers their seats, rooms and credit back."""
        for url in self.session.providers.urls.values():
            request = urllib.request.Request(f"{url}/reset", data=b"{}")  # noqa: S310 - a loopback address of our own
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
                answer.read()

    def _event(self, execution: str) -> Event:
        with self._lock:
            return self._ended.setdefault(execution, Event())

    def _on_status(self, change: StatusChange) -> None:
        if change["status"] != "RUNNING":
            self._event(change["name"]).set()

    def _count(self, line: LogLine) -> None:
        # The first line of each invocation; its text is searched before it is parsed, for the sake of what is timed.
        if '"started"' in line.text and json.loads(line.text).get("message") == "started":
            self.invocations[line.function.split("-", 2)[-1]] += 1


def goal(text: str, **given: Any) -> Goal:
    """A goal under a key of its own."""
    return Goal(TENANT, "bench", text, str(uuid4()), **given)
