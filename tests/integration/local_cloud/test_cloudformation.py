"""The template is loaded as it is deployed; the repairs are needed, and they mend what they say."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apex.errors import LocalCloudError, TemplateNotSupported
from infra.cloud.settings import Settings
from infra.local import lean
from infra.local.cloud import LocalCloud
from infra.local.repairs import cloudformation, lambda_functions
from infra.local.resource_types import LOADED, SKIPPED, require_known_types

PROBES = Path(__file__).with_name("cloud_probes.py")
OURS = tuple(repair.name for repair in (*cloudformation.REPAIRS, *lambda_functions.REPAIRS))


def probe(moto: str) -> dict[str, bool]:
    done = subprocess.run([sys.executable, str(PROBES), moto], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def stock() -> dict[str, bool]:
    return probe("stock")


@pytest.fixture(scope="module")
def repaired() -> dict[str, bool]:
    return probe("repaired")


@pytest.mark.parametrize("name", OURS)
def test_moto_still_needs_the_repair(stock: dict[str, bool], name: str) -> None:
    """Fails when a newer moto no longer has the defect: then the repair goes."""
    assert stock[name] is True


@pytest.mark.parametrize("name", OURS)
def test_the_repair_mends_the_defect(repaired: dict[str, bool], name: str) -> None:
    assert repaired[name] is False


@pytest.fixture(scope="module")
def cloud(small_house: Settings) -> Iterator[LocalCloud]:
    with LocalCloud(settings=small_house) as running:
        yield running


def test_the_outputs_name_what_was_created(cloud: LocalCloud) -> None:
    tables = cloud.client("dynamodb").list_tables()["TableNames"]
    assert {cloud.outputs[f"{name}Table"] for name in ("Journal", "State", "Records", "WorkflowInstances")} == set(
        tables
    )
    assert cloud.outputs["EventBus"] == "apex-dev-bus"
    assert cloud.client("s3").head_bucket(Bucket=cloud.outputs["PayloadBucket"])
    assert cloud.outputs["AgentWorkflowMachineArn"].endswith(":stateMachine:apex-dev-agent-workflow")
    assert cloud.client("lambda").get_function(FunctionName=cloud.outputs["FixtureEchoFunction"])


def test_the_definition_is_the_file_with_names_filled_in(cloud: LocalCloud, small_house: Settings) -> None:
    text = (small_house.statemachines / "agent_workflow.asl.json").read_text(encoding="utf-8")
    arn = cloud.client("lambda").get_function(FunctionName=cloud.outputs["FixtureEchoFunction"])["Configuration"][
        "FunctionArn"
    ]
    loaded = cloud.client("stepfunctions").describe_state_machine(
        stateMachineArn=cloud.outputs["AgentWorkflowMachineArn"]
    )
    assert loaded["definition"] == text.replace("${FixtureEchoFunction}", arn)


def test_functions_have_the_settings_of_the_template(cloud: LocalCloud) -> None:
    found = cloud.client("lambda").get_function_configuration(FunctionName="apex-dev-fixture-trouble")
    assert found["Timeout"] == 1
    assert found["Architectures"] == ["arm64"]
    assert found["TracingConfig"] == {"Mode": "Active"}
    assert [layer["Arn"].rsplit(":", 2)[1] for layer in found["Layers"]] == ["apex-dev-core"]
    assert found["Environment"]["Variables"]["APEX_EVENT_BUS"] == "apex-dev-bus"


def test_only_one_cloud_at_a_time(cloud: LocalCloud, small_house: Settings) -> None:
    with pytest.raises(LocalCloudError, match="another local cloud runs"):
        LocalCloud(settings=small_house).start()
    assert cloud.client("dynamodb").list_tables()["TableNames"]


def test_an_unknown_type_stops_the_start() -> None:
    template = {"Resources": {"Q": {"Type": "AWS::Kendra::Index"}, "T": {"Type": "AWS::DynamoDB::Table"}}}
    with pytest.raises(TemplateNotSupported, match="AWS::Kendra::Index"):
        require_known_types(template)


def test_no_type_is_both_loaded_and_left_out() -> None:
    assert not LOADED & set(SKIPPED)
    assert all(reason.strip() for reason in SKIPPED.values())


def test_services_left_out_of_the_loader_can_still_be_imported() -> None:
    program = (
        "import sys; from infra.local.lean import import_cloudformation, _LEFT_OUT; import_cloudformation();"
        "left = [n for n in _LEFT_OUT if f'moto.{n}.models' in sys.modules and not"
        " getattr(sys.modules[f'moto.{n}.models'], '__file__', None)];"
        "import moto.ec2.models as ec2; from moto.cloudformation import parsing;"
        "assert not left, left; assert ec2.ec2_backends is not None;"
        "assert parsing.get_model_map()['AWS::DynamoDB::Table']"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_loaded_type_is_known_to_the_lean_loader() -> None:
    lean.import_cloudformation()
    from moto.cloudformation import parsing

    assert set(parsing.get_model_map()) >= LOADED
