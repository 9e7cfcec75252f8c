"""CloudFormation: the resources of the template become what they are on AWS."""

import json
from typing import Any

from moto.awslambda.models import LambdaFunction, LayerVersion
from moto.awslambda.utils import get_backend as get_lambda_backend
from moto.cloudformation import models as stacks
from moto.cloudformation import parsing
from moto.cloudformation import responses as stack_responses
from moto.events.models import EventBus
from moto.s3.models import s3_backends
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_patching import replace
from infra.local.resource_types import SKIPPED

Properties = dict[str, Any]


# ── state machines ──────────────────────────────────────────────────────────────────────────────────────────


def _definition(properties: Properties, account: str) -> str:
    """The definition text from whichever of the three places it is given in, substitutions filled in."""
    if "Definition" in properties:
        text = json.dumps(properties["Definition"])
    elif location := properties.get("DefinitionS3Location"):
        stored = s3_backends[account]["aws"].get_object(location["Bucket"], location["Key"])
        text = stored.value.decode()
    else:
        text = properties.get("DefinitionString", "")
    for name, value in (properties.get("DefinitionSubstitutions") or {}).items():
        text = text.replace(f"${{{name}}}", str(value))
    return text


def _create_state_machine(
    resource_name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
    **_: Any,
) -> StateMachine:
    properties = cloudformation_json["Properties"]
    return stepfunctions_parser_backends[account_id][region_name].create_state_machine(
        properties.get("StateMachineName", resource_name),
        _definition(properties, account_id),
        properties.get("RoleArn", ""),
        tags=[{"key": tag["Key"], "value": tag["Value"]} for tag in properties.get("Tags", [])],
        loggingConfiguration=properties.get("LoggingConfiguration"),
        tracingConfiguration=properties.get("TracingConfiguration"),
        sm_type=properties.get("StateMachineType"),
    )


def _install_state_machines() -> Undo:
    return replace((StateMachine, "create_from_cloudformation_json", staticmethod(_create_state_machine)))


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────

_FUNCTION_PROPERTIES = (
    "Architectures",
    "Description",
    "Environment",
    "EphemeralStorage",
    "Layers",
    "MemorySize",
    "ReservedConcurrentExecutions",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)


def _create_function(
    resource_name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
    **_: Any,
) -> LambdaFunction:
    properties = cloudformation_json["Properties"]
    specification = {
        "Code": properties["Code"],
        "FunctionName": resource_name,
        "Handler": properties.get("Handler"),
        "Role": properties["Role"],
        "Runtime": properties.get("Runtime"),
        "Tags": {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])},
    }
    specification |= {name: properties[name] for name in _FUNCTION_PROPERTIES if name in properties}
    function: LambdaFunction = get_lambda_backend(account_id, region_name).create_function(specification)
    return function


def _install_functions() -> Undo:
    return replace((LambdaFunction, "create_from_cloudformation_json", staticmethod(_create_function)))


# ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────


def _create_layer(
    resource_name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
    **_: Any,
) -> LayerVersion:
    properties = cloudformation_json["Properties"]
    specification = {**properties, "LayerName": properties.get("LayerName", resource_name)}
    layer: LayerVersion = get_lambda_backend(account_id, region_name).publish_layer_version(specification)
    return layer


def _install_layers() -> Undo:
    return replace(
        (LayerVersion, "create_from_cloudformation_json", staticmethod(_create_layer)),
        (LayerVersion, "physical_resource_id", property(lambda layer: layer.arn)),
    )


# ── event buses ─────────────────────────────────────────────────────────────────────────────────────────────


def _install_event_buses() -> Undo:
    return replace((EventBus, "physical_resource_id", property(lambda bus: bus.name)))


# ── resources that one machine does without ─────────────────────────────────────────────────────────────────


def _install_skipped_types() -> Undo:
    original = parsing.parse_and_create_resource

    def parse_and_create_resource(logical_id: str, resource_json: Properties, *args: Any, **kwargs: Any) -> Any:
        if resource_json["Type"] in SKIPPED:
            return None
        return original(logical_id, resource_json, *args, **kwargs)

    return replace((parsing, "parse_and_create_resource", parse_and_create_resource))


# ── templates ───────────────────────────────────────────────────────────────────────────────────────────────


class _JsonFirst:
    """Stands in for the module ``yaml`` where moto reads templates: a template of CDK is JSON."""

    def __init__(self, yaml: Any) -> None:
        self._yaml = yaml

    def __getattr__(self, name: str) -> Any:
        return getattr(self._yaml, name)

    def load(self, text: str, **kwargs: Any) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return self._yaml.load(text, **kwargs)


def _install_json_templates() -> Undo:
    return replace(
        (stacks, "yaml", _JsonFirst(stacks.yaml)), (stack_responses, "yaml", _JsonFirst(stack_responses.yaml))
    )


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "cloudformation-state-machines",
        "a state machine of a template is put where no interpreter looks for it; a definition in S3 or as an object is "
        "dropped, and substitutions are not filled in",
        _install_state_machines,
    ),
    Repair(
        "cloudformation-functions",
        "layers, architectures, tracing, ephemeral storage and tags of a function in a template are dropped",
        _install_functions,
    ),
    Repair(
        "cloudformation-layers",
        "a reference to a layer version in a template is not its ARN, so no function can use it, and its name is lost",
        _install_layers,
    ),
    Repair(
        "cloudformation-event-buses",
        "a reference to an event bus in a template is not its name",
        _install_event_buses,
    ),
    Repair(
        "cloudformation-skipped-types",
        "a resource type without an imitation is left out with a warning, whatever it is; here the types that may be "
        "left out are listed with their reasons, and any other stops the start",
        _install_skipped_types,
    ),
    Repair(
        "cloudformation-json-templates",
        "a JSON template is read by the YAML parser, which takes longer than creating the resources",
        _install_json_templates,
    ),
)
