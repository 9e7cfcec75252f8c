"""How a local cloud comes and goes: synthesis, start, stop, and what remains."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apex.errors import LocalCloudError
from infra.cloud.settings import Settings
from infra.local.cloud import LocalCloud
from infra.local.repairs.registry import all_repairs, install_all
from infra.local.synth import synthesise, template_path


def test_the_synthesis_is_remembered(small_house: Settings) -> None:
    first = synthesise(root=small_house.root)
    manifest = (first / "manifest.json").stat().st_mtime_ns
    assert synthesise(root=small_house.root) == first
    assert (first / "manifest.json").stat().st_mtime_ns == manifest


def test_another_environment_is_another_template(small_house: Settings) -> None:
    dev, other = synthesise("dev", small_house.root), synthesise("blue", small_house.root)
    assert dev != other
    assert "apex-blue-journal" in template_path(other).read_text(encoding="utf-8")


def test_a_failing_app_says_what_it_printed(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "app.py").write_text("raise SystemExit('the app is broken')", encoding="utf-8")
    (tmp_path / "cdk.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LocalCloudError, match="the app is broken"):
        synthesise(root=tmp_path)
    assert not list((tmp_path / ".build" / "cdk").iterdir())


def test_a_missing_parameter_is_named(start_cloud: Callable[..., LocalCloud], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.cloud.require_known_types", _add_parameter)
    with pytest.raises(LocalCloudError, match="FlightsUrl"):
        start_cloud()


def _add_parameter(template: dict[str, Any]) -> None:
    template["Parameters"] = {"FlightsUrl": {"Type": "String"}}


def test_what_one_cloud_held_is_gone_in_the_next(start_cloud: Callable[..., LocalCloud]) -> None:
    item = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    first = start_cloud()
    first.client("dynamodb").put_item(TableName=first.outputs["RecordsTable"], Item=item)
    first.stop()
    second = start_cloud()
    assert second.client("dynamodb").scan(TableName=second.outputs["RecordsTable"])["Items"] == []


def test_with_a_data_directory_it_is_still_there(start_cloud: Callable[..., LocalCloud], tmp_path: Path) -> None:
    item = {"pk": {"S": "a"}, "sk": {"S": "b"}, "n": {"N": "1"}}
    first = start_cloud(data_dir=tmp_path)
    first.client("dynamodb").put_item(TableName=first.outputs["RecordsTable"], Item=item)
    first.client("s3").put_object(Bucket=first.outputs["PayloadBucket"], Key="k", Body=b"body")
    first.stop()
    second = start_cloud(data_dir=tmp_path)
    assert second.client("dynamodb").scan(TableName=second.outputs["RecordsTable"])["Items"] == [item]
    stored = second.client("s3").get_object(Bucket=second.outputs["PayloadBucket"], Key="k")
    assert stored["Body"].read() == b"body"


def test_an_execution_ends_with_its_cloud(start_cloud: Callable[..., LocalCloud]) -> None:
    released: list[str] = []

    def around(function: str, event: dict[str, Any], proceed: Callable[[dict[str, Any]], Any]) -> Any:
        time.sleep(0.5)
        released.append(function)
        return proceed(event)

    first = start_cloud(around_invoke=around)
    first.client("stepfunctions").start_execution(
        stateMachineArn=first.outputs["AgentWorkflowMachineArn"], name="e", input='{"tenant": "a"}'
    )
    first.stop()
    second = start_cloud()
    executions = second.client("stepfunctions").list_executions(
        stateMachineArn=second.outputs["AgentWorkflowMachineArn"]
    )
    assert executions["executions"] == []


def test_a_client_outlives_its_cloud_without_reaching_the_network(start_cloud: Callable[..., LocalCloud]) -> None:
    cloud = start_cloud()
    client = cloud.client("sqs")
    cloud.stop()
    with pytest.raises(LocalCloudError, match="has been stopped"):
        client.list_queues()
    with pytest.raises(LocalCloudError, match="not running"):
        cloud.client("sqs")


def test_repairs_have_unique_names_and_are_taken_back() -> None:
    repairs = all_repairs()
    assert len({repair.name for repair in repairs}) == len(repairs)
    from moto.awslambda.models import LambdaFunction

    before = LambdaFunction.invoke
    undo = install_all()
    assert LambdaFunction.invoke is not before
    undo.close()
    assert LambdaFunction.invoke is before
