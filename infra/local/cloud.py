"""The local cloud: the synthesised template, loaded into moto in this process, with real handlers behind it.

Nothing of the system is rebuilt for it. The tables, functions, state machines and mappings are those of the template
that is deployed; only AWS underneath is replaced. docs/local-cloud.md says what is imitated and what is not.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from moto import mock_aws
from moto.awslambda.models import lambda_backends

from apex.errors import LocalCloudError
from infra.cloud.settings import Settings
from infra.local import assets as assets_
from infra.local.deliveries import Deliveries
from infra.local.durability import Durability
from infra.local.executions import end_all
from infra.local.lambdas import AroundInvoke, bridge, guard
from infra.local.lambdas.logs import LogBook, LogLine, routed
from infra.local.lambdas.processes import ProcessInvoker
from infra.local.lambdas.threads import ThreadInvoker
from infra.local.repairs.registry import install_all
from infra.local.repairs.stepfunctions_clock import time_scale
from infra.local.resource_types import require_known_types
from infra.local.surroundings import (
    ACCOUNT,
    AWS_ENVIRONMENT,
    REGION,
    environment,
    rare_full_collections,
    union,
)
from infra.local.synth import synthesise, template_path

Isolation = Literal["threads", "processes"]
AnyInvoker = ThreadInvoker | ProcessInvoker

# moto's state belongs to the process, so there is one cloud at a time; the next may follow when it has stopped.
_only_one = threading.Lock()

_REPOSITORY = Settings()

# How long handlers in flight may go on when the cloud stops, in seconds; what is cut off is as after a crash.
_GRACE_SECONDS = 0.25


class LocalCloud:
    """One environment of the system on this machine; a context manager, or ``start`` and ``stop``.

    ``parameters`` are those of the template (such as ``FlightsUrl``). With ``data_dir`` every item and object is kept
    there. ``isolation`` says whether handlers run in threads of this process or in processes of their own.
    ``around_invoke`` wraps every invocation of a function, for injecting faults. ``variables`` are added to the
    environment of every function. ``on_log`` gets every line that a handler prints. ``time_scale`` stretches or
    shortens waits, retry pauses and schedules, never the deadlines of handlers. ``settings`` name the environment and
    the house to run, by default ``dev`` of this repository.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        isolation: Isolation = "threads",
        parameters: Mapping[str, str] | None = None,
        *,
        around_invoke: AroundInvoke | None = None,
        variables: Mapping[str, str] | None = None,
        on_log: Callable[[LogLine], None] | None = None,
        time_scale: float = 1.0,
        settings: Settings = _REPOSITORY,
    ) -> None:
        self._data_dir = data_dir
        self._isolation = isolation
        self._parameters = dict(parameters or {})
        self._around = around_invoke
        self._variables = dict(variables or {})
        self._time_scale = time_scale
        self._settings = settings
        self._logs = LogBook(on_log)
        self._clients: dict[str, Any] = {}
        self._stack: ExitStack | None = None
        self._invoker: AnyInvoker | None = None
        self._deliveries: Deliveries | None = None
        self.outputs: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Bring the cloud up; returns itself.

        Raises ``LocalCloudError`` when another local cloud runs in this process, and ``TemplateNotSupported`` when
        the template holds a resource type that is neither loaded nor listed as left out.
        """
        if not _only_one.acquire(blocking=False):
            raise LocalCloudError("another local cloud runs in this process; stop it first")
        with ExitStack() as stack:
            stack.callback(_only_one.release)
            self._bring_up(stack)
            self._stack = stack.pop_all()
        return self

    def stop(self) -> None:
        """Take everything down again, in reverse order; does nothing when it is not running."""
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.close()

    def client(self, service: str) -> Any:
        """A boto3 client of the running cloud; one per service, shared by all threads."""
        if self._stack is None:
            raise LocalCloudError("the local cloud is not running")
        return self._client(service)

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait at most ``timeout`` seconds until every background delivery is done; False if some are not."""
        return self._deliveries is None or self._deliveries.drain(timeout)

    def logs(self, function: str | None = None) -> list[LogLine]:
        """What handlers printed, those of one function (physical name) or all."""
        return self._logs.lines(function)

    def running_handlers(self) -> int:
        """How many handlers run now; after a timeout in threads mode that includes those nobody waits for."""
        return self._invoker.busy() if self._invoker else 0

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            make: Any = boto3.client
            self._clients[service] = make(service, region_name=REGION)
        return self._clients[service]

    def _bring_up(self, stack: ExitStack) -> None:
        assembly = synthesise(self._settings.env, self._settings.root)
        template = json.loads(template_path(assembly).read_text(encoding="utf-8"))
        require_known_types(template)
        self._require_parameters(template)
        durability = self._open_data_dir(stack)
        guard.install()
        stack.enter_context(environment(AWS_ENVIRONMENT))
        stack.enter_context(mock_aws(config={"stepfunctions": {"execute_state_machine": True}}))
        stack.enter_context(install_all())
        stack.callback(self._clients.clear)
        assets = assets_.read_assets(assembly, ACCOUNT, REGION)
        functions = self._run_functions(stack, assets)
        assets_.bootstrap(assets, self._client("s3"))
        self.outputs = self._create_stack(template)
        if durability is not None:
            durability.attach(buckets={"payloads": self.outputs["PayloadBucket"]})
        if self._isolation == "threads":
            stack.enter_context(environment(self._shared_environment()))
        self._start_deliveries(stack, durability, functions)
        stack.enter_context(rare_full_collections())

    def _open_data_dir(self, stack: ExitStack) -> Durability | None:
        if self._data_dir is None:
            return None
        durability = Durability(self._data_dir)
        stack.callback(durability.close)
        return durability

    def _run_functions(self, stack: ExitStack, assets: assets_.Assets) -> bridge.Bridge:
        if self._isolation == "processes":
            self._invoker = ProcessInvoker(self._process_environment(stack), self._around, self._logs)
        else:
            stack.enter_context(routed())
            self._invoker = ThreadInvoker(self._around, self._logs)
        functions = bridge.Bridge(self._invoker, assets.folder, self._variables)
        bridge.use(functions)
        stack.callback(bridge.use, None)
        stack.callback(self._invoker.close)
        return functions

    def _process_environment(self, stack: ExitStack) -> dict[str, str]:
        # Imported only here: the server brings Flask along.
        from infra.local.endpoint import endpoint

        tracing_off = {"POWERTOOLS_TRACE_DISABLED": "true", "AWS_XRAY_SDK_ENABLED": "false"}
        return {**AWS_ENVIRONMENT, **tracing_off, "AWS_ENDPOINT_URL": stack.enter_context(endpoint())}

    def _start_deliveries(self, stack: ExitStack, durability: Durability | None, functions: bridge.Bridge) -> None:
        stack.callback(self._end_executions)
        stack.enter_context(time_scale(self._time_scale))
        self._deliveries = Deliveries(durability=durability, time_scale=self._time_scale)
        functions.invoke_later = self._deliveries.invoke_async
        stack.callback(self._deliveries.stop)
        self._deliveries.start()

    def _end_executions(self) -> None:
        """Let executions and handlers end: after this nothing of this cloud moves any more."""
        end_all(ACCOUNT, REGION)
        end = time.monotonic() + _GRACE_SECONDS
        while self.running_handlers() and time.monotonic() < end:
            time.sleep(0.005)

    def _require_parameters(self, template: Mapping[str, Any]) -> None:
        known = template.get("Parameters", {})
        missing = [name for name in known if "Default" not in known[name] and name not in self._parameters]
        if missing:
            raise LocalCloudError(f"the template needs values for the parameters {', '.join(sorted(missing))}")

    def _create_stack(self, template: Mapping[str, Any]) -> dict[str, str]:
        cloudformation = self._client("cloudformation")
        name = self._settings.prefix
        given = {key: value for key, value in self._parameters.items() if key in template.get("Parameters", {})}
        try:
            cloudformation.create_stack(
                StackName=name,
                TemplateBody=json.dumps(template),
                Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )
        except (BotoCoreError, ClientError) as error:
            raise LocalCloudError(f"the template could not be loaded: {error}") from error
        described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if described["StackStatus"] != "CREATE_COMPLETE":
            reason = described.get("StackStatusReason", "no reason given")
            raise LocalCloudError(f"the stack is {described['StackStatus']}: {reason}")
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def _shared_environment(self) -> dict[str, str]:
        functions = lambda_backends[ACCOUNT][REGION].list_functions()
        together = union((function.function_name, function.environment_vars) for function in functions)
        return together | self._variables
