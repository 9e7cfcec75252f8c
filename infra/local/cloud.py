"""The local cloud: the synthesised template, loaded into moto in this process, with real handlers behind it.

Nothing of the system is rebuilt for it. The tables, functions, state machines and mappings are those of the template that
is deployed; only AWS underneath is replaced. docs/local-cloud.md says what is imitated and what is not.
"""

import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import boto3
from moto import mock_aws

from apex.errors import LocalCloudError
from infra.cloud.settings import REPOSITORY
from infra.local import assets as assets_
from infra.local.lambdas import AroundInvoke, Invoker, bridge
from infra.local.lambdas.threads import ThreadInvoker
from infra.local.repairs.registry import install_all
from infra.local.resource_types import require_known_types
from infra.local.surroundings import ACCOUNT, AWS_ENVIRONMENT, REGION, environment, union
from infra.local.synth import synthesise, template_path

Isolation = Literal["threads", "processes"]

# moto's state belongs to the process, so there is one cloud at a time; the next may follow when it has stopped.
_only_one = threading.Lock()


class LocalCloud:
    """One environment of the system on this machine; a context manager, or ``start`` and ``stop``.

    ``parameters`` are those of the template (such as ``FlightsUrl``). With ``data_dir`` every item and object is kept
    there. ``around_invoke`` wraps every invocation of a function, for injecting faults. ``variables`` are added to the
    environment of every function. ``root`` is the house to run, by default this repository.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        isolation: Isolation = "threads",
        parameters: Mapping[str, str] | None = None,
        *,
        env: str = "dev",
        root: Path = REPOSITORY,
        around_invoke: AroundInvoke | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._isolation = isolation
        self._parameters = dict(parameters or {})
        self._env, self._root = env, root
        self._around = around_invoke
        self._variables = dict(variables or {})
        self._clients: dict[str, Any] = {}
        self._stack: ExitStack | None = None
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
        if self._stack is None and service not in self._clients:
            raise LocalCloudError("the local cloud is not running")
        return self._client(service)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=REGION)
        return self._clients[service]

    def _bring_up(self, stack: ExitStack) -> None:
        assembly = synthesise(self._env, self._root)
        template = json.loads(template_path(assembly).read_text(encoding="utf-8"))
        require_known_types(template)
        stack.enter_context(environment(AWS_ENVIRONMENT))
        stack.enter_context(mock_aws(config={"stepfunctions": {"execute_state_machine": True}}))
        stack.enter_context(install_all())
        stack.callback(self._clients.clear)
        uploads = assets_.read_assets(assembly, ACCOUNT, REGION)
        invoker = self._invoker(stack)
        stack.callback(bridge.use, None)
        bridge.use(bridge.Bridge(invoker, uploads.folder, self._variables))
        assets_.bootstrap(uploads, self._client("s3"), self._client("ssm"))
        self.outputs = self._create_stack(template, f"https://{uploads.bucket}.s3.amazonaws.com")
        stack.enter_context(environment(self._function_environment()))

    def _invoker(self, stack: ExitStack) -> Invoker:
        invoker = ThreadInvoker(self._around)
        stack.callback(invoker.close)
        return invoker

    def _create_stack(self, template: Mapping[str, Any], _bucket_url: str) -> dict[str, str]:
        missing = [
            name
            for name, parameter in template.get("Parameters", {}).items()
            if "Default" not in parameter and name not in self._parameters
        ]
        if missing:
            raise LocalCloudError(f"the template needs values for the parameters {', '.join(sorted(missing))}")
        cloudformation = self._client("cloudformation")
        name = f"apex-{self._env}"
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in self._parameters.items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if described["StackStatus"] != "CREATE_COMPLETE":
            reason = described.get("StackStatusReason", "no reason given")
            raise LocalCloudError(f"the stack is {described['StackStatus']}: {reason}")
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def _function_environment(self) -> dict[str, str]:
        from moto.awslambda.models import lambda_backends

        functions = lambda_backends[ACCOUNT][REGION].list_functions()
        together = union((function.function_name, function.environment_vars) for function in functions)
        return together | self._variables
