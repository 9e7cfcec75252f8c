"""What is deployed: asserted on the template itself."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from apex.adapters.dynamodb.tables import TABLES, TableSpec
from infra.cloud.house import House
from infra.cloud.needs import HANDLERS, TOOL_RESERVE_SECONDS
from infra.cloud.settings import Settings
from infra.local.resource_types import require_known_types
from tests.infra.template import Template

# AWS gives these actions no resource to name.
_WITHOUT_RESOURCE = (
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "dynamodb:ListStreams",
)
_DELIVERY_OF_LOGS = re.compile(r"logs:(\w+LogDelivery|ListLogDeliveries|\w+ResourcePolic\w+|DescribeLogGroups)")


@pytest.mark.parametrize("spec", TABLES, ids=lambda spec: spec.name)
def test_tables_are_those_of_the_definitions(template: Template, spec: TableSpec) -> None:
    _, table = template.table(f"apex-dev-{spec.name}")
    kinds = {item["AttributeName"]: item["AttributeType"] for item in table["AttributeDefinitions"]}

    assert table["KeySchema"] == [
        {"AttributeName": spec.partition_key, "KeyType": "HASH"},
        {"AttributeName": spec.sort_key, "KeyType": "RANGE"},
    ]
    assert kinds[spec.partition_key] == "S"
    assert kinds[spec.sort_key] == spec.sort_type
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert table.get("StreamSpecification") == ({"StreamViewType": "NEW_IMAGE"} if spec.stream else None)
    assert [index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])] == [
        index.name for index in spec.indexes
    ]
    assert all(
        index["Projection"]["ProjectionType"] == "KEYS_ONLY" for index in table.get("GlobalSecondaryIndexes", [])
    )


def test_the_bucket_is_closed_encrypted_and_spoken_to_over_tls(template: Template) -> None:
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    (policy,) = template.of_type("AWS::S3::BucketPolicy").values()
    insecure = {"Bool": {"aws:SecureTransport": "false"}}

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert [item["Effect"] for item in policy["PolicyDocument"]["Statement"] if item["Condition"] == insecure] == [
        "Deny"
    ]


def test_every_folder_is_a_function(template: Template, house: House) -> None:
    expected = {f"apex-dev-{name.replace('_', '-')}" for name in house.handlers}
    expected |= {f"apex-dev-tool-{tool.name}" for tool in house.tools}
    assert set(template.functions()) == expected
    assert house.handlers
    assert house.tools


def test_handlers_are_found_by_the_same_words_everywhere(template: Template, house: House) -> None:
    functions = template.functions()
    for name in house.handlers:
        assert functions[f"apex-dev-{name.replace('_', '-')}"]["Handler"] == f"functions.{name}.handler.handler"
    for tool in house.tools:
        assert functions[f"apex-dev-tool-{tool.name}"]["Handler"] == f"functions.tools.{tool.name}.tool.handler"


def test_every_function_says_how_it_runs(template: Template) -> None:
    for name, function in template.functions().items():
        assert function["Architectures"] == ["arm64"], name
        assert function["Runtime"] == "python3.11", name
        assert function["TracingConfig"] == {"Mode": "Active"}, name
        assert function["MemorySize"] >= 256, name
        assert function["Timeout"] > 0, name
        assert len(function["Layers"]) == 1, name
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"], name


def test_every_function_has_a_log_of_its_own_that_ends(template: Template) -> None:
    logs = template.of_type("AWS::Logs::LogGroup")
    kept = {group["LogGroupName"]: group["RetentionInDays"] for group in logs.values()}
    for name, function in template.functions().items():
        assert kept[f"/aws/lambda/{name}"] == 30
        assert logs[function["LoggingConfig"]["LogGroup"]["Ref"]]["LogGroupName"] == f"/aws/lambda/{name}"


def test_every_function_has_a_role_of_its_own(template: Template) -> None:
    roles = [template.role_of(name) for name in template.functions()]
    assert len(set(roles)) == len(roles)


def test_a_tools_function_outlives_its_contract(template: Template, house: House) -> None:
    for tool in house.tools:
        timeout = template.functions()[f"apex-dev-tool-{tool.name}"]["Timeout"]
        assert timeout == tool.timeout + TOOL_RESERVE_SECONDS


def test_only_tools_with_a_service_know_its_address(template: Template, house: House) -> None:
    parameters = template.document.get("Parameters", {})
    for tool in house.tools:
        variables = template.functions()[f"apex-dev-tool-{tool.name}"]["Environment"]["Variables"]
        addresses = {name: value for name, value in variables.items() if name.startswith("APEX_SERVICE_")}
        if tool.service is None:
            assert addresses == {}
            continue
        parameter = f"{tool.service.capitalize()}Url"
        assert addresses == {f"APEX_SERVICE_{tool.service.upper()}_URL": {"Ref": parameter}}
        assert "Default" not in parameters[parameter]


def test_no_permission_is_wider_than_it_must_be(template: Template) -> None:
    for statement in template.statements():
        assert not any("*" in action for action in statement.actions), statement
        if "*" in statement.resources:
            named = [
                action
                for action in statement.actions
                if action not in _WITHOUT_RESOURCE and not _DELIVERY_OF_LOGS.fullmatch(action)
            ]
            assert named == [], f"{statement.role} may do {named} to everything"


def test_the_journal_is_append_only_for_everyone(template: Template) -> None:
    journal, _ = template.table("apex-dev-journal")
    allowed = {action for item in template.statements() if item.touches(journal) for action in item.actions}
    changing = {
        action for action in allowed if re.search(r":(Update|Delete|BatchWrite|Create|Restore|PartiQL)", action)
    }
    assert "dynamodb:PutItem" in allowed
    assert changing == set()


def test_only_the_projector_writes_the_read_model_and_nobody_deletes_from_it(template: Template) -> None:
    instances, _ = template.table("apex-dev-workflow_instances")
    writing = {
        (item.role, action)
        for item in template.statements()
        if item.touches(instances)
        for action in item.actions
        if not re.search(r":(Get|BatchGet|Query)", action)
    }
    assert writing == {(template.role_of("apex-dev-project-events"), "dynamodb:PutItem")}


def test_only_tools_that_declare_a_table_reach_it(template: Template, house: House) -> None:
    records, _ = template.table("apex-dev-records")
    owners = {template.role_of(f"apex-dev-tool-{tool.name}") for tool in house.tools if "records" in tool.tables}
    assert owners
    assert {item.role for item in template.statements() if item.touches(records)} == owners


def test_only_the_rollback_door_starts_machines(template: Template) -> None:
    starting = {item.role for item in template.statements() if "states:StartExecution" in item.actions}
    expected = {
        template.role_of(f"apex-dev-{name.replace('_', '-')}") for name, needs in HANDLERS.items() if needs.starts
    }
    assert starting == expected


def test_definitions_are_the_files_byte_for_byte(template: Template, settings: Settings) -> None:
    machines = {
        item["StateMachineName"]: item for item in template.of_type("AWS::StepFunctions::StateMachine").values()
    }
    files = {path.name.removesuffix(".asl.json"): path for path in settings.statemachines.glob("*.asl.json")}
    assert set(machines) == {settings.machine_name(name) for name in files}
    for name, path in files.items():
        assert machines[settings.machine_name(name)]["DefinitionString"].encode() == path.read_bytes()


def test_nothing_is_left_open_in_a_definition(template: Template) -> None:
    for machine in template.of_type("AWS::StepFunctions::StateMachine").values():
        used = set(re.findall(r"\$\{(\w+)\}", machine["DefinitionString"]))
        assert used == set(machine["DefinitionSubstitutions"])


def test_machines_may_call_only_what_they_name(template: Template, house: House) -> None:
    functions = template.of_type("AWS::Lambda::Function")
    tools = {name for name, item in functions.items() if item["FunctionName"].startswith("apex-dev-tool-")}
    for machine in template.of_type("AWS::StepFunctions::StateMachine").values():
        role = machine["RoleArn"]["Fn::GetAtt"][0]
        callable_now = {
            function
            for item in template.statements()
            if item.role == role and "lambda:InvokeFunction" in item.actions
            for function in functions
            if item.touches(f'"{function}"')
        }
        named = {
            value["Fn::GetAtt"][0] for value in machine["DefinitionSubstitutions"].values() if isinstance(value, dict)
        }
        assert callable_now == named | tools


def test_machines_log_without_the_customers_data(template: Template) -> None:
    for machine in template.of_type("AWS::StepFunctions::StateMachine").values():
        assert machine["LoggingConfiguration"]["Level"] == "ALL"
        assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
        assert machine["TracingConfiguration"] == {"Enabled": True}


def _tasks(states: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, state in states.items():
        if state["Type"] == "Task":
            found.append((name, state))
        if "ItemProcessor" in state:
            found += _tasks(state["ItemProcessor"]["States"])
    return found


def test_a_state_waits_longer_than_its_function_runs(template: Template) -> None:
    """Otherwise the machine moves on while the handler still works."""
    functions = template.of_type("AWS::Lambda::Function")
    for machine in template.of_type("AWS::StepFunctions::StateMachine").values():
        for name, state in _tasks(json.loads(machine["DefinitionString"])["States"]):
            reference = re.fullmatch(r"\$\{(\w+)\}", state["Arguments"]["FunctionName"])
            if reference:
                function = machine["DefinitionSubstitutions"][reference[1]]["Fn::GetAtt"][0]
                assert state["TimeoutSeconds"] >= functions[function]["Timeout"] + 10, name


def test_two_functions_read_the_journals_stream_each_with_a_queue_of_its_own(template: Template) -> None:
    mappings = template.of_type("AWS::Lambda::EventSourceMapping").values()
    functions = template.of_type("AWS::Lambda::Function")
    readers = {functions[mapping["FunctionName"]["Ref"]]["FunctionName"] for mapping in mappings}
    queues = {json.dumps(mapping["DestinationConfig"]["OnFailure"]["Destination"]) for mapping in mappings}

    assert readers == {"apex-dev-publish-events", "apex-dev-project-events"}
    assert len(queues) == 2


@pytest.mark.parametrize("reader", ["publish-events", "project-events"])
def test_the_journals_stream_is_read_and_never_stuck(template: Template, reader: str) -> None:
    functions = template.of_type("AWS::Lambda::Function")
    (mapping,) = (
        mapping
        for mapping in template.of_type("AWS::Lambda::EventSourceMapping").values()
        if functions[mapping["FunctionName"]["Ref"]]["FunctionName"] == f"apex-dev-{reader}"
    )
    journal, _ = template.table("apex-dev-journal")

    assert mapping["EventSourceArn"] == {"Fn::GetAtt": [journal, "StreamArn"]}
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 0 < mapping["MaximumRetryAttempts"] <= 10
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"]
    assert 0 < mapping["MaximumRecordAgeInSeconds"] <= 24 * 3600


def test_the_janitor_hears_of_every_execution_that_was_lost(template: Template) -> None:
    machines = set(template.of_type("AWS::StepFunctions::StateMachine"))
    heard = [
        rule["EventPattern"]["detail"]
        for rule in template.of_type("AWS::Events::Rule").values()
        if rule.get("EventPattern", {}).get("detail-type") == ["Step Functions Execution Status Change"]
    ]
    assert [set(detail["status"]) for detail in heard] == [{"FAILED", "TIMED_OUT", "ABORTED"}]
    assert {arn["Ref"] for arn in heard[0]["stateMachineArn"]} == machines


def test_no_event_for_a_function_is_lost_or_refused(template: Template) -> None:
    permitted = {
        item["SourceArn"]["Fn::GetAtt"][0]: item["FunctionName"]["Fn::GetAtt"][0]
        for item in template.of_type("AWS::Lambda::Permission").values()
        if item["Principal"] == "events.amazonaws.com"
    }
    functions = set(template.of_type("AWS::Lambda::Function"))
    aimed = 0
    for name, rule in template.of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            resource = target["Arn"]["Fn::GetAtt"][0]
            if resource in functions:
                aimed += 1
                assert permitted[name] == resource
                assert target["DeadLetterConfig"]["Arn"], f"what {name} cannot deliver is lost"
                assert 0 < target["RetryPolicy"]["MaximumRetryAttempts"] <= 185
    assert aimed > 0


def test_queues_are_encrypted(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    assert queues
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())


def test_the_local_cloud_knows_every_type(template: Template) -> None:
    require_known_types(template.document)


def test_every_row_of_needs_has_its_folder(house: House) -> None:
    assert set(HANDLERS) == set(house.handlers)


def _bundle(assembly: Path, template: Template, function: str) -> Path:
    digest = template.functions()[function]["Code"]["S3Key"].removesuffix(".zip")
    return assembly / f"asset.{digest}"


def test_a_bundle_holds_the_function_and_nothing_else(assembly: Path, template: Template) -> None:
    bundle = _bundle(assembly, template, "apex-dev-close-workflow")
    held = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {"functions/__init__.py", "functions/close_workflow/handler.py"} <= held
    assert all(name.startswith(("functions/close_workflow/", "functions/__init__.py")) for name in held)
    assert not any("__pycache__" in name for name in held)


def test_functions_that_read_contracts_carry_the_tools(assembly: Path, template: Template, house: House) -> None:
    for name, needs in HANDLERS.items():
        bundle = _bundle(assembly, template, f"apex-dev-{name.replace('_', '-')}")
        carried = {path.parent.name for path in bundle.glob("functions/tools/*/tool.py")}
        assert carried == ({tool.name for tool in house.tools} if needs.carries_tools else set())


def test_the_layer_holds_the_library(assembly: Path, template: Template, settings: Settings) -> None:
    (layer,) = template.of_type("AWS::Lambda::LayerVersion").values()
    folder = assembly / f"asset.{layer['Content']['S3Key'].removesuffix('.zip')}"
    ours = settings.root / "layers" / "core" / "python" / "apex" / "errors.py"
    assert (folder / "python" / "apex" / "errors.py").read_bytes() == ours.read_bytes()
