"""From moto's idea of a function to an invoker: every way to call a Lambda function in moto passes through here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from moto.awslambda.models import lambda_backends

from apex.errors import LocalCloudError
from infra.local.lambdas import Answer, Function, Invoker

AssetFolder = Callable[[str], Path | None]
InvokeLater = Callable[[str, str], None]
"""Takes the function's ARN and the JSON text of the event, and answers for its delivery, retries included."""


class Bridge:
    """Knows which invoker runs functions now, and where their bundles lie on disk.

    ``asset_folder`` maps a key in the asset bucket to the folder it was packed from; ``invoke_later`` takes over
    asynchronous invocations (``InvocationType="Event"``); without it they are run once, before the call returns.
    """

    def __init__(
        self,
        invoker: Invoker,
        asset_folder: AssetFolder = lambda _key: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.invoke_later: InvokeLater | None = None
        self._invoker = invoker
        self._asset_folder = asset_folder
        self._environment = dict(environment or {})
        self._functions: dict[int, Function] = {}

    def invoke(self, moto_function: Any, payload: str) -> Answer:
        """Run one of moto's functions with the JSON text ``payload``."""
        return self._invoker.invoke(self.function(moto_function), payload)

    def function(self, moto_function: Any) -> Function:
        """The description of one of moto's functions; made anew when its configuration was updated."""
        known = self._functions.get(id(moto_function))
        if known is None or moto_function.code_or_config_updated:
            moto_function.code_or_config_updated = False
            known = self._functions[id(moto_function)] = self._describe(moto_function)
        return known

    def _describe(self, moto_function: Any) -> Function:
        return Function(
            name=moto_function.function_name,
            arn=moto_function.function_arn,
            handler=moto_function.handler or "",
            timeout=float(moto_function.timeout),
            memory=int(moto_function.memory_size),
            version="$LATEST",
            environment={**moto_function.environment_vars, **self._environment},
            bundle=self._asset_folder(moto_function.code.get("S3Key", "")),
            layers=tuple(self._layer_folders(moto_function)),
        )

    def _layer_folders(self, moto_function: Any) -> list[Path]:
        backend = lambda_backends[moto_function.account_id][moto_function.region]
        versions = [backend.layers_versions_by_arn(layer["Arn"]) for layer in moto_function.layers]
        folders = [self._asset_folder(version.content.get("S3Key", "")) for version in versions if version]
        return [folder for folder in folders if folder]


class _Current:
    bridge: Bridge | None = None


def current() -> Bridge:
    """The bridge of the running local cloud."""
    if _Current.bridge is None:
        raise LocalCloudError("no local cloud runs functions in this process")
    return _Current.bridge


def use(bridge: Bridge | None) -> None:
    """Make ``bridge`` the one that moto's functions are run through; None takes it away."""
    _Current.bridge = bridge
