"""Imports moto's CloudFormation without the services that no template of ours uses.

moto's loader imports every service that has a resource type, from EC2 to SageMaker, which takes longer than everything
else at the start of the local cloud. The services we load are imported first, completely; while the loader itself is
imported, the others are represented by empty modules, which are gone again afterwards: whoever needs such a service
later imports the real one.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_LOADER = "moto.cloudformation.parsing"

# The services of the resource types in infra/local/resource_types.py, and those the loader itself works with.
_NEEDED = (
    "awslambda",
    "core",
    "dynamodb",
    "events",
    "iam",
    "kms",
    "logs",
    "s3",
    "sns",
    "sqs",
    "stepfunctions",
)

# What the loader imports for the sake of resource types that we do not load.
_LEFT_OUT = (
    "apigateway",
    "autoscaling",
    "batch",
    "cloudwatch",
    "datapipeline",
    "ec2",
    "ecs",
    "efs",
    "elb",
    "elbv2",
    "emr",
    "iot",
    "rds",
    "redshift",
    "route53",
    "sagemaker",
    "ssm",
)


def import_cloudformation() -> None:
    """Import the loader with only the services we need; does nothing when it has been imported already."""
    if _LOADER in sys.modules:
        return
    for service in _NEEDED:
        importlib.import_module(f"moto.{service}.models")
    with _placeholders():
        importlib.import_module(_LOADER)


@contextmanager
def _placeholders() -> Iterator[None]:
    placed = {}
    for service in _LEFT_OUT:
        for name in (f"moto.{service}", f"moto.{service}.models"):
            if name not in sys.modules:
                placed[name] = sys.modules[name] = ModuleType(name)
    _give_expected_names(placed)
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _give_expected_names(placed: dict[str, ModuleType]) -> None:
    """What the loader asks of the left-out modules while it is imported."""
    for name, module in placed.items():
        if name.endswith(".models") and (package := placed.get(name.removesuffix(".models"))):
            vars(package)["models"] = module
    if "moto.ssm" in placed:
        vars(placed["moto.ssm"])["ssm_backends"] = {}
    if "moto.ec2.models" in placed:
        core = placed["moto.ec2.models.core"] = sys.modules["moto.ec2.models.core"] = ModuleType("moto.ec2.models.core")
        vars(core)["TaggedEC2Resource"] = type("TaggedEC2Resource", (), {})
