"""Shows, for each repair of CloudFormation and Lambda, whether moto has the defect: run alone, so that moto is stock.

``python cloud_probes.py stock|repaired`` prints a JSON object: name of the repair -> whether the defect was seen.
"""

import io
import json
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
import yaml
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID

from infra.local.lambdas import bridge
from infra.local.lambdas.threads import ThreadInvoker
from infra.local.repairs.registry import install_all

REGION = "us-east-1"
ROLE = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/r"
PASS = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "${Word}", "End": True}}})


def client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, region_name=REGION)


def create(template: dict[str, Any]) -> dict[str, str]:
    """Create a stack; its outputs."""
    stacks = client("cloudformation")
    stacks.create_stack(StackName="probe", TemplateBody=json.dumps(template))
    outputs = stacks.describe_stacks(StackName="probe")["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mycode.py", "def handler(event, context): raise KeyError('no')")
    return packed.getvalue()


def function(**properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": "f",
            "Role": ROLE,
            "Runtime": "python3.11",
            "Handler": "mycode.handler",
            "Code": {"S3Bucket": "assets", "S3Key": "code.zip"},
            **properties,
        },
    }


LAMBDA_MAY = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


def upload() -> None:
    """What a function needs beside its template: its code and its role."""
    client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps({"Statement": [LAMBDA_MAY]}))
    client("s3").create_bucket(Bucket="assets")
    client("s3").put_object(Bucket="assets", Key="code.zip", Body=archive())


def state_machines_cannot_run() -> bool:
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": "m",
            "RoleArn": ROLE,
            "DefinitionString": PASS,
            "DefinitionSubstitutions": {"Word": "hello"},
        },
    }
    create({"Resources": {"M": machine}})
    machines = client("stepfunctions")
    arn = f"arn:aws:states:{REGION}:{DEFAULT_ACCOUNT_ID}:stateMachine:m"
    try:
        execution = machines.start_execution(stateMachineArn=arn, name="e", input="{}")["executionArn"]
    except machines.exceptions.StateMachineDoesNotExist:
        return True
    while (found := machines.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(0.01)
    return bool(json.loads(found["output"]) != "hello")


def function_properties_are_dropped() -> bool:
    upload()
    create({"Resources": {"F": function(Architectures=["arm64"], TracingConfig={"Mode": "Active"})}})
    found = client("lambda").get_function_configuration(FunctionName="f")
    return (found["Architectures"], found["TracingConfig"]) != (["arm64"], {"Mode": "Active"})


def layers_have_no_arn() -> bool:
    upload()
    layer = {
        "Type": "AWS::Lambda::LayerVersion",
        "Properties": {"LayerName": "core", "Content": {"S3Bucket": "assets", "S3Key": "code.zip"}},
    }
    create({"Resources": {"L": layer}, "Outputs": {"Arn": {"Value": {"Ref": "L"}}}})
    stacks = client("cloudformation").describe_stacks(StackName="probe")["Stacks"][0]
    return ":layer:core:1" not in str(stacks["Outputs"])


def event_buses_have_no_name() -> bool:
    bus = {"Type": "AWS::Events::EventBus", "Properties": {"Name": "b"}}
    return create({"Resources": {"B": bus}, "Outputs": {"Name": {"Value": {"Ref": "B"}}}})["Name"] != "b"


def types_are_left_out_with_a_warning() -> bool:
    bucket = {"Type": "AWS::S3::Bucket"}
    policy = {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "B"}, "PolicyDocument": {}}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        create({"Resources": {"B": bucket, "P": policy}})
    return any("BucketPolicy" in str(warning.message) for warning in caught)


def json_is_read_as_yaml() -> bool:
    seen = []
    load = yaml.load

    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.append(args)
        return load(*args, **kwargs)

    yaml.load = spy
    try:
        create({"Resources": {"B": {"Type": "AWS::S3::Bucket"}}})
    finally:
        yaml.load = load
    return bool(seen)


def functions_do_not_run() -> bool:
    upload()
    create({"Resources": {"F": function(Handler="json.loads")}})
    answer = client("lambda").invoke(FunctionName="f", Payload=b"{}")
    # json.loads refuses the event as real code would: a TypeError by name, and not an error of Docker.
    document = answer["Payload"].read()
    return answer.get("FunctionError") != "Unhandled" or b"TypeError" not in document


PROBES: dict[str, Callable[[], bool]] = {
    "cloudformation-state-machines": state_machines_cannot_run,
    "cloudformation-functions": function_properties_are_dropped,
    "cloudformation-layers": layers_have_no_arn,
    "cloudformation-event-buses": event_buses_have_no_name,
    "cloudformation-skipped-types": types_are_left_out_with_a_warning,
    "cloudformation-json-templates": json_is_read_as_yaml,
    "lambda-invocation": functions_do_not_run,
}


def main() -> None:
    if sys.argv[1] == "repaired":
        install_all()
        bridge.use(bridge.Bridge(ThreadInvoker()))
    seen = {}
    for name, probe in PROBES.items():
        with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
            seen[name] = probe()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
