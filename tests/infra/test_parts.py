"""The parts the stack is described with: names, folders, bundles, permissions."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.errors import InvalidInput, LocalCloudError
from infra.cloud.bundles import stage_function, stage_layer
from infra.cloud.house import Machine, read_house
from infra.cloud.needs import HANDLERS, Needs, needs_of
from infra.cloud.settings import Settings, camel
from infra.local.assets import read_assets
from infra.local.surroundings import PER_FUNCTION, environment, union


@pytest.mark.parametrize("name", ["", "Dev", "1st", "a-b", "a_b", "far-too-long-a-name", "é"])
def test_an_environments_name_must_fit_into_every_physical_name(name: str) -> None:
    with pytest.raises(InvalidInput, match="environment name"):
        Settings(env=name)


def test_physical_names() -> None:
    settings = Settings(env="prod")
    assert settings.function_name("find_plan") == "apex-prod-find-plan"
    assert settings.tool_prefix == "apex-prod-tool-"
    assert settings.machine_name("agent_workflow") == "apex-prod-agent-workflow"
    assert not settings.disposable
    assert Settings(env="dev").disposable


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("APEX_ENV", "blue")
    monkeypatch.setenv("APEX_HOUSE", str(tmp_path))
    monkeypatch.delenv("APEX_BUILD", raising=False)
    assert Settings.from_environment() == Settings("blue", tmp_path, tmp_path / ".build")


@pytest.mark.parametrize(("name", "expected"), [("find_plan", "FindPlan"), ("flights", "Flights"), ("a-b_c", "ABC")])
def test_folder_names_in_camel_case(name: str, expected: str) -> None:
    assert camel(name) == expected


def test_a_folder_without_a_row_of_needs_is_refused() -> None:
    with pytest.raises(InvalidInput, match="functions/surprise has no row"):
        needs_of("surprise", HANDLERS)
    assert needs_of("mine", {"mine": Needs(timeout=7)}).timeout == 7


def test_a_house_is_read_from_its_folders(tmp_path: Path) -> None:
    for name in ("second", "first"):
        (tmp_path / "functions" / name).mkdir(parents=True)
        (tmp_path / "functions" / name / "handler.py").write_text("", encoding="utf-8")
    (tmp_path / "functions" / "not_a_handler").mkdir()
    (tmp_path / "statemachines").mkdir()
    (tmp_path / "statemachines" / "m.asl.json").write_text("{}", encoding="utf-8")

    house = read_house(Settings(root=tmp_path))

    assert house.handlers == ("first", "second")
    assert house.tools == ()
    assert house.machines == (Machine("m", "{}"),)
    assert house.services == ()


def test_substitutions_are_listed_once_in_order() -> None:
    machine = Machine(
        "m", '{"a": "${FindPlanFunction}", "b": "{% \'${ToolFunctionPrefix}\' & $x %} ${FindPlanFunction}"}'
    )
    assert machine.substitutions == ("FindPlanFunction", "ToolFunctionPrefix")


def _tree(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file, encoding="utf-8")


def _held(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_keeps_the_path_of_the_repository(tmp_path: Path) -> None:
    functions = tmp_path / "functions"
    _tree(functions, "__init__.py", "tools/__init__.py", "tools/book/tool.py", "tools/book/__pycache__/tool.pyc")
    bundle = stage_function(functions, [functions / "tools" / "book"], tmp_path / "build")
    assert _held(bundle) == {"functions/__init__.py", "functions/tools/__init__.py", "functions/tools/book/tool.py"}


def test_staging_again_leaves_nothing_of_the_last_time(tmp_path: Path) -> None:
    functions = tmp_path / "functions"
    _tree(functions, "plan/handler.py", "plan/old.py")
    stage_function(functions, [functions / "plan"], tmp_path / "build")
    (functions / "plan" / "old.py").unlink()
    bundle = stage_function(functions, [functions / "plan"], tmp_path / "build")
    assert _held(bundle) == {"functions/__init__.py", "functions/plan/handler.py"}


def test_the_layer_unpacks_wheels_beside_our_own_packages(tmp_path: Path) -> None:
    _tree(tmp_path / "src", "apex/__init__.py", "apex/errors.py")
    wheel = tmp_path / "third-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("third/__init__.py", "")
    layer = stage_layer([tmp_path / "src" / "apex"], tmp_path / "build", [wheel])
    assert _held(layer) == {"python/apex/__init__.py", "python/apex/errors.py", "python/third/__init__.py"}


def test_functions_in_one_process_must_agree_on_their_environment() -> None:
    with pytest.raises(LocalCloudError, match=r"LOG_LEVEL .*a: 'INFO', b: 'DEBUG'"):
        union([("a", {"LOG_LEVEL": "INFO"}), ("b", {"LOG_LEVEL": "DEBUG"})])


def test_only_listed_variables_may_differ() -> None:
    assert union([("a", {"POWERTOOLS_SERVICE_NAME": "a", "X": "1"}), ("b", {"POWERTOOLS_SERVICE_NAME": "b"})]) == {
        "X": "1"
    }
    assert all(reason for reason in PER_FUNCTION.values())


@given(st.lists(st.dictionaries(st.sampled_from("ABC"), st.sampled_from("12")), max_size=4))
def test_the_union_holds_every_variable_or_there_is_a_contradiction(environments: list[dict[str, str]]) -> None:
    named = [(str(number), variables) for number, variables in enumerate(environments)]
    values: dict[str, set[str]] = {}
    for variables in environments:
        for name, value in variables.items():
            values.setdefault(name, set()).add(value)
    if any(len(given_values) > 1 for given_values in values.values()):
        with pytest.raises(LocalCloudError):
            union(named)
    else:
        assert union(named) == {name: next(iter(given_values)) for name, given_values in values.items()}


def test_the_users_own_account_is_hidden_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "https://example.invalid")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with environment({"AWS_REGION": "us-east-1", "NEW_ONE": "x"}):
        assert "AWS_PROFILE" not in os.environ
        assert "AWS_ENDPOINT_URL_DYNAMODB" not in os.environ
        assert (os.environ["AWS_REGION"], os.environ["NEW_ONE"]) == ("us-east-1", "x")
    assert (os.environ["AWS_PROFILE"], os.environ["AWS_REGION"]) == ("mine", "eu-west-1")
    assert "NEW_ONE" not in os.environ


def test_assets_are_those_of_the_manifest(assembly: Path) -> None:
    assets = read_assets(assembly, "123456789012", "us-east-1")
    archives = [item for item in assets.items if item.packaging == "zip"]
    assert assets.bucket == "cdk-hnb659fds-assets-123456789012-us-east-1"
    assert archives
    assert all(assets.folder(item.key) == item.source for item in archives)
    assert assets.folder("nothing.zip") is None
