"""Handlers in processes of their own, under AWS's runtime client: isolated, and really killed on a timeout.

Like Lambda, a function has as many sandboxes as it has concurrent invocations, each started when it is first needed and
kept warm. The processes reach the cloud over HTTP.
"""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress

from apex.errors import LocalCloudError
from infra.local.lambdas import Answer, AroundInvoke, Function, documents
from infra.local.lambdas.logs import LogBook
from infra.local.lambdas.runtime_api import RuntimeApi

# How often a waiting caller looks whether the process is still there (seconds); the answer itself wakes it at once.
_GLANCE = 0.05
# Lambda's own limit for loading the code is 10 s; a laptop with many processes starting at once may need longer.
_INIT_SECONDS = 30.0


class ProcessInvoker:
    """Runs each function in processes of its own.

    ``environment`` is what every process gets beside its function's variables: where the cloud's endpoint is.
    """

    def __init__(
        self, environment: Mapping[str, str], around: AroundInvoke | None = None, logs: LogBook | None = None
    ) -> None:
        self._environment = dict(environment)
        self._around = around
        self._logs = logs or LogBook()
        self._lock = threading.Lock()
        self._idle: dict[Function, list[_Sandbox]] = defaultdict(list)
        self._all: set[_Sandbox] = set()
        self._closed = False

    def invoke(self, function: Function, payload: str) -> Answer:
        """Run the handler; on an overrun its process is killed. Time that ``around`` itself takes does not count."""
        if self._around is None:
            return self._in_sandbox(function, payload)
        return documents.wrapped(self._around, function, payload, lambda text: self._in_sandbox(function, text))

    def busy(self) -> int:
        """How many processes are in an invocation now."""
        with self._lock:
            return len(self._all) - sum(len(idle) for idle in self._idle.values())

    def close(self) -> None:
        """Kill all processes."""
        with self._lock:
            self._closed = True
            sandboxes = list(self._all)
            self._all.clear()
            self._idle.clear()
        for sandbox in sandboxes:
            sandbox.close()

    def _in_sandbox(self, function: Function, payload: str) -> Answer:
        sandbox = self._take(function)
        answer = sandbox.run(payload)
        self._give_back(sandbox)
        return answer

    def _take(self, function: Function) -> "_Sandbox":
        # A function that was given other code or settings is another key: its old sandboxes are never used again.
        with self._lock:
            if self._closed:
                raise LocalCloudError("the local cloud has been stopped")
            if self._idle[function]:
                return self._idle[function].pop()
            sandbox = _Sandbox(function, self._environment, self._logs)
            self._all.add(sandbox)
        return sandbox

    def _give_back(self, sandbox: "_Sandbox") -> None:
        with self._lock:
            if sandbox.usable and not self._closed:
                self._idle[sandbox.function].append(sandbox)
                return
            self._all.discard(sandbox)
        sandbox.close()


class _Sandbox:
    """One process with the runtime client, and the API it talks to."""

    def __init__(self, function: Function, environment: Mapping[str, str], logs: LogBook) -> None:
        self.function = function
        self.usable = True
        self._api = RuntimeApi()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter runs our own handler
            [sys.executable, "-m", "awslambdaric", function.handler],
            cwd=function.bundle,
            env=self._process_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._collect, args=(logs,), name="lambda-log", daemon=True).start()

    def run(self, payload: str) -> Answer:
        """Hand the event over and wait for the answer, the end of the process, or the end of the time."""
        request_id = str(uuid.uuid4())
        if failure := self._initialise(request_id):
            return failure
        self._api.offer(payload, self._headers(request_id))
        end = time.monotonic() + self.function.timeout
        while (left := end - time.monotonic()) > 0:
            if answer := self._answer(min(left, _GLANCE)):
                return answer
            if self._process.poll() is not None:
                # It may have answered with its last breath.
                return self._answer(0) or self._exited(request_id)
        self.usable = False
        self._process.kill()
        return self._answer(0) or documents.timed_out(request_id, self.function.timeout)

    def close(self) -> None:
        """Kill the process, whatever it is doing."""
        self.usable = False
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._api.close()

    def _initialise(self, request_id: str) -> Answer | None:
        """Wait until the runtime has loaded the handler; an answer means that it cannot."""
        end = time.monotonic() + _INIT_SECONDS
        while not self._api.ready.wait(_GLANCE):
            ended = self._process.poll() is not None
            if answer := self._answer(0):
                self.usable = False
                return answer
            if ended:
                return self._exited(request_id)
            if time.monotonic() > end:
                self.usable = False
                return documents.timed_out(request_id, _INIT_SECONDS)
        return None

    def _answer(self, seconds: float) -> Answer | None:
        return self._api.wait(seconds)

    def _exited(self, request_id: str) -> Answer:
        self.usable = False
        status = self._process.returncode
        return documents.exited(request_id, f"signal: {-status}" if status < 0 else f"exit status {status}")

    def _headers(self, request_id: str) -> dict[str, str]:
        now = time.time()
        trace = f"Root=1-{int(now):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"
        return {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((now + self.function.timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.function.arn,
            "Lambda-Runtime-Trace-Id": trace,
        }

    def _process_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        function = self.function
        layers = [str(layer / "python") for layer in function.layers]
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            **inherited,
            **environment,
            **function.environment,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"local/{uuid.uuid4().hex}",
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "LAMBDA_TASK_ROOT": str(function.bundle or ""),
            # As on AWS the bundle is not to be written to: it is what the next cloud, and a deployment, would take.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(layers),
            "_HANDLER": function.handler,
        }

    def _collect(self, logs: LogBook) -> None:
        if self._process.stdout is not None:
            with self._process.stdout as lines:
                for line in lines:
                    logs.add(self.function.name, line.rstrip("\n"))
