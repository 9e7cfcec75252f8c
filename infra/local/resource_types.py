"""What the local cloud does with each type of resource; a type that is on neither list stops the start."""

from collections.abc import Mapping
from typing import Any

from apex.errors import TemplateNotSupported

LOADED: frozenset[str] = frozenset(
    {
        "AWS::DynamoDB::Table",
        "AWS::Events::EventBus",
        "AWS::Events::Rule",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SQS::Queue",
        "AWS::StepFunctions::StateMachine",
    }
)

SKIPPED: Mapping[str, str] = {
    "AWS::CDK::Metadata": "describes the tool that made the template; creates nothing",
    "AWS::S3::BucketPolicy": "access policies are not enforced on one machine",
    "AWS::SQS::QueuePolicy": "access policies are not enforced on one machine",
}


def unknown_types(template: Mapping[str, Any]) -> list[str]:
    """The resource types of ``template`` that are neither loaded nor skipped, sorted."""
    types = {resource["Type"] for resource in template.get("Resources", {}).values()}
    return sorted(types - LOADED - set(SKIPPED))


def require_known_types(template: Mapping[str, Any]) -> None:
    """Raise ``TemplateNotSupported`` naming every type the local cloud has no answer to."""
    if unknown := unknown_types(template):
        raise TemplateNotSupported(
            f"the local cloud knows no way to imitate {', '.join(unknown)}; "
            "add the type to LOADED, or to SKIPPED with a reason, in infra/local/resource_types.py"
        )
