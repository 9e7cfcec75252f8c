"""Calls of boto3 clients that moto answers in this process, without a message.

boto3 looks up an endpoint, writes a message and signs it; moto takes the message apart and writes another, which boto3
reads: a millisecond or more for every call. Here a call goes from the client to moto's handler. Its parameters are
checked as always, the same hooks hear of it, and its answer or error is the same.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders
from botocore.model import OperationModel
from botocore.parsers import create_parser
from dateutil.tz import tzlocal
from moto.core.exceptions import JsonRESTError
from moto.core.models import botocore_stubber
from moto.core.responses import ActionResult, BaseResponse

from infra.local.call_parameters import Copier, copier
from infra.local.repairs import Undo
from infra.local.repairs.stepfunctions_patching import replace
from infra.local.surroundings import ACCOUNT

_DOMAIN = ".amazonaws.com"


def answer_directly(service: str, handler: type[BaseResponse], operations: Mapping[str, str]) -> Undo:
    """Have moto's ``handler`` answer these operations of a service (boto3's name: the handler's method).

    The service must speak JSON, and moments in its answers must stand at the top level. Clients with an address of
    their own, and clients that are used when moto does not mock, go the ordinary way. The function returned undoes it.
    """
    original = vars(BaseClient)["_make_api_call"]
    direct = {name: _Operation(name, handler, method) for name, method in operations.items()}

    def make_api_call(client: Any, operation_name: str, api_params: Any) -> Any:
        operation = direct.get(operation_name)
        is_ours = operation is not None and client.meta.service_model.service_name == service
        if operation is None or not is_ours or not (botocore_stubber.enabled and _is_at_home(client)):
            return original(client, operation_name, api_params)
        return operation.call(client, api_params)

    return replace((BaseClient, "_make_api_call", make_api_call))


def _is_at_home(client: Any) -> bool:
    return bool(client.meta.endpoint_url.rstrip("/").endswith(_DOMAIN))


def call_moto(handler: BaseResponse, method: str) -> Any:
    """What a handler of moto answers, as data; raises ``JsonRESTError``."""
    answer = getattr(handler, method)()
    return answer.result if isinstance(answer, ActionResult) else json.loads(answer)


class _Operation:
    """One operation that is answered directly."""

    def __init__(self, name: str, handler: type[BaseResponse], method: str) -> None:
        self._name, self._handler, self._method = name, handler, method
        self._copy: Copier | None = None

    def call(self, client: Any, given: Any) -> dict[str, Any]:
        model: OperationModel = client.meta.service_model.operation_model(self._name)
        context = {"client_region": client.meta.region_name, "client_config": client.meta.config}
        params = client._emit_api_params(api_params=given, operation_model=model, context=context)
        status, parsed = self._answer(client, model, params)
        parsed["ResponseMetadata"] = {
            "RequestId": "local",
            "HTTPStatusCode": status,
            "HTTPHeaders": {},
            "RetryAttempts": 0,
        }
        client.meta.events.emit(
            f"after-call.{client.meta.service_model.service_id.hyphenize()}.{self._name}",
            http_response=AWSResponse(client.meta.endpoint_url, status, HTTPHeaders(), None),
            parsed=parsed,
            model=model,
            context=context,
        )
        if status >= 300:
            raise client.exceptions.from_code(parsed["Error"]["Code"])(parsed, self._name)
        return parsed

    def _answer(self, client: Any, model: OperationModel, params: Any) -> tuple[int, dict[str, Any]]:
        if self._copy is None:
            self._copy = copier(model)
        handler = self._handler()
        handler.region, handler.current_account = client.meta.region_name, ACCOUNT
        handler.automated_parameter_parsing, handler.uri_match = True, {}
        handler.params = handler.body = self._copy(params)
        try:
            return 200, _output(model, call_moto(handler, self._method))
        except JsonRESTError as error:
            return error.code, _error(model, error)


def _output(model: OperationModel, result: Mapping[str, Any]) -> dict[str, Any]:
    members = model.output_shape.members if model.output_shape else ()
    return {name: _parsed(result[name]) for name in members if result.get(name) is not None}


def _parsed(value: Any) -> Any:
    """A moment as it looks after its way through a message: whole milliseconds, in local time."""
    if not isinstance(value, datetime):
        return value
    return value.replace(microsecond=value.microsecond // 1000 * 1000).astimezone(tzlocal())


def _error(model: OperationModel, error: JsonRESTError) -> dict[str, Any]:
    answer = {"status_code": error.code, "headers": {}, "body": error.description.encode()}
    parser = create_parser("json")
    parsed: dict[str, Any] = parser.parse(answer, model.output_shape)  # type: ignore[arg-type]  # as botocore does
    shape = model.service_model.shape_for_error_code(parsed["Error"]["Code"])
    if shape is not None:
        parsed.update(parser.parse(answer, shape))
    return parsed
