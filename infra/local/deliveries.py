"""Everything that the local cloud delivers in the background: streams, events, schedules, asynchronous calls."""

import time
from contextlib import ExitStack

from infra.local.async_calls import AsyncCalls
from infra.local.background import Background
from infra.local.backlog import Backlog
from infra.local.durability import Durability
from infra.local.events import EventRouter
from infra.local.ids import request_id
from infra.local.repairs.eventbridge import deliver_with
from infra.local.repairs.stepfunctions_executions import StatusChange, subscribe
from infra.local.schedules import Schedules
from infra.local.streams import StreamPump
from infra.local.surroundings import ACCOUNT, REGION


class Deliveries:
    """The background deliveries of one local cloud, to be started when its stack is up.

    ``durability`` lets deliveries survive the process. ``time_scale`` multiplies every wait (batching windows, pauses
    before retries, schedules): 0.01 makes a minute 0.6 seconds. Deadlines of handlers stay what they are.
    """

    def __init__(self, durability: Durability | None = None, *, time_scale: float = 1.0, region: str = REGION) -> None:
        self._backlog = Backlog()
        store = durability.store if durability is not None else None
        self._background = Background(self._backlog, time_scale=time_scale)
        self._calls = AsyncCalls(self._background)
        self._router = EventRouter(self._background, self._calls, store, region=region)
        self._schedules = Schedules(self._router, region=region, time_scale=time_scale)
        self._region = region
        self._undo = ExitStack()
        self._streams = StreamPump(self._backlog, store, region=region, time_scale=time_scale)

    def start(self) -> None:
        """Begin to deliver, first what was left undelivered in the data directory."""
        self._background.start()
        self._router.start()
        self._undo.callback(deliver_with(self._router.send))
        self._undo.callback(subscribe(self._announce))
        self._schedules.start()
        self._streams.start()

    def _announce(self, detail: StatusChange) -> None:
        self._router.put_on_default_bus(
            {
                "version": "0",
                "id": request_id(),
                "detail-type": "Step Functions Execution Status Change",
                "source": "aws.states",
                "account": ACCOUNT,
                "time": time.time(),
                "region": self._region,
                "resources": [detail["executionArn"]],
                "detail": dict(detail),
            }
        )

    def invoke_async(self, function_arn: str, payload: str) -> None:
        """Invoke a function with an event (JSON text) without waiting for it, with Lambda's retries and destinations.

        Raises ``TargetUnreachable`` if there is no such function.
        """
        self._calls.accept(function_arn, payload)

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait at most ``timeout`` seconds until nothing is waiting or running; ``False`` if something still is."""
        return self._backlog.wait_until_empty(timeout)

    def stop(self) -> None:
        """Stop delivering and end all threads; undelivered stream records stay in the data directory."""
        self._streams.stop()
        self._schedules.stop()
        self._undo.close()
        self._background.stop()
