"""Where the processor time of a saga goes, by layer: exact counters instead of a profiler's samples.

Functions at the borders between layers are wrapped while a measurement runs. Each thread keeps a stack of the layers it
is in and charges its own processor time to the innermost; what a layer costs is thus without what it calls. What the
process used beyond that was spent between the borders: in threads that hand work over, and in collecting garbage.
"""

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.logging import Logger
from botocore.client import BaseClient

from apex.adapters.dynamodb.items import Items
from apex.observability import invocation, metrics
from infra.local import direct_calls
from infra.local.lambdas import Function, documents
from infra.local.lambdas.threads import ThreadInvoker
from infra.local.repairs import stepfunctions_executions
from infra.local.repairs.stepfunctions_patching import replace
from infra.local.stream_batches import BatchDelivery

_CONSUMERS = ("publish-events", "project-events")
"""Functions that read the journal's stream."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds of processor time in one layer; ``consuming`` is the part of those who read the journal's stream."""

    layer: str
    running: float
    consuming: float


class _Thread(threading.local):
    def __init__(self) -> None:
        self.stack: list[tuple[str, bool]] = []
        self.since = 0.0


class Layers:
    """Charges processor time to layers."""

    def __init__(self) -> None:
        self._here = _Thread()
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, bool], float] = defaultdict(float)

    def border(
        self, function: Callable[..., Any], layer: str, consumes: Callable[..., bool] | None = None
    ) -> Callable[..., Any]:
        """The function, charging what it does itself to ``layer``."""

        @functools.wraps(function)
        def charged(*args: Any, **kwargs: Any) -> Any:
            here = self._here
            above = here.stack[-1] if here.stack else None
            consuming = consumes(*args, **kwargs) if consumes else above is not None and above[1]
            self._charge(above)
            here.stack.append((layer, consuming))
            try:
                return function(*args, **kwargs)
            finally:
                self._charge(here.stack.pop())

        return charged

    def _charge(self, to: tuple[str, bool] | None) -> None:
        now = time.thread_time()
        if to is not None:
            with self._lock:
                self._seconds[to] += now - self._here.since
        self._here.since = now

    def spent(self, runs: int) -> list[Spent]:
        """What each layer took for one run, the largest first."""
        names = {layer for layer, _ in self._seconds}
        found = [
            Spent(name, self._seconds[name, False] * 1000 / runs, self._seconds[name, True] * 1000 / runs)
            for name in names
        ]
        return sorted(found, key=lambda spent: spent.running + spent.consuming, reverse=True)


def _is_consumer(function: Function, *_: Any) -> bool:
    return function.name.endswith(_CONSUMERS)


@contextmanager
def measured(submit_owner: Any) -> Iterator[Layers]:
    """Measure everything that runs inside the block; ``submit_owner`` is the module whose ``submit`` is called."""
    layers = Layers()
    plain = [
        (submit_owner, "submit", "use cases: submit"),
        (stepfunctions_executions, "_work", "Step Functions interpreter"),
        (BaseClient, "_make_api_call", "boto3"),
        *((Items, name, "documents to and from JSON") for name in vars(Items) if name.startswith(("read_", "head"))),
        *((Items, name, "documents to and from JSON") for name in ("entry", "event", "spec", "record")),
        *((Logger, name, "logs and metrics") for name in ("info", "warning", "error", "exception")),
        (metrics._Document, "write", "logs and metrics"),
        (metrics._Document, "add", "logs and metrics"),
        (invocation, "_fields_of", "logs and metrics"),
        (direct_calls, "call_moto", "moto: DynamoDB, Step Functions, EventBridge"),
    ]
    invoking: list[tuple[Any, str, str, Callable[..., bool]]] = [
        (BatchDelivery, "deliver", "stream delivery", lambda *_: True),
        (ThreadInvoker, "invoke", "invoking functions", lambda _self, function, *_: _is_consumer(function)),
        (documents, "answer_of", "handlers and use cases", _is_consumer),
    ]
    with ExitStack() as undo:
        for owner, name, layer in plain:
            undo.callback(replace((owner, name, layers.border(getattr(owner, name), layer))))
        for owner, name, layer, consumes in invoking:
            undo.callback(replace((owner, name, layers.border(getattr(owner, name), layer, consumes))))
        yield layers
