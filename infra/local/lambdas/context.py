"""The context object a handler gets, with the attributes of AWS's own."""

import math
import time
from datetime import UTC, datetime

from infra.local.ids import request_id
from infra.local.lambdas import Function


class Context:
    """One invocation: who is called, under which request id, and how long it may still run.

    The deadline is kept on the monotonic clock, so a changed system time does not move it.
    """

    def __init__(self, function: Function) -> None:
        self.aws_request_id = request_id()
        self.function_name = function.name
        self.function_version = function.version
        self.invoked_function_arn = function.arn
        self.memory_limit_in_mb = str(function.memory)
        self.log_group_name = f"/aws/lambda/{function.name}"
        self.log_stream_name = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]local"
        self.identity = None
        self.client_context = None
        self.tenant_id = None
        self._deadline = time.monotonic() + function.timeout

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is cut off; never negative."""
        return max(0, math.floor(self.remaining_seconds() * 1000))

    def remaining_seconds(self) -> float:
        """Seconds until the function is cut off; negative afterwards."""
        return self._deadline - time.monotonic()
