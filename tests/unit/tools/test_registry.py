"""Tools are found by their folders, and one that does not hold together is reported when it is found."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apex.errors import InvalidInput, SchemaInvalid, ToolNotFound
from apex.tools.registry import discover

GOOD = """
from apex.tools import Call, Effect, Input, Output, tool

class Nothing(Input):
    pass

class Answer(Output):
    text: str = "hi"

@tool(description="Says {name} to everybody.", effect=Effect.NONE)
def {name}(nothing: Nothing, call: Call) -> Answer:
    return Answer()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("apex_tool_")]:
        del sys.modules[name]


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "tool.py").write_text(text)


def test_every_folder_with_a_tool_is_one(folder: Path) -> None:
    for name in ("wave", "greet", "nod"):
        put(folder, name, GOOD.format(name=name))
    (folder / "notes").mkdir()
    (folder / "loose.py").write_text("raise RuntimeError('not a tool')")
    registry = discover(folder, package=None)
    assert list(registry.tools) == list(registry.contracts) == ["greet", "nod", "wave"]
    assert [tool.name for tool in registry] == ["greet", "nod", "wave"]
    assert registry["nod"].contract is registry.contracts["nod"]


def test_an_empty_folder_has_no_tools(folder: Path) -> None:
    assert list(discover(folder, package=None)) == []


def test_an_unknown_tool_is_not_found_and_the_known_ones_are_named(folder: Path) -> None:
    put(folder, "greet", GOOD.format(name="greet"))
    with pytest.raises(ToolNotFound, match=r"'wave'.*greet"):
        discover(folder, package=None)["wave"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it defines 0"),
        (GOOD.format(name="greet") + GOOD.format(name="other"), "it defines 2"),
        (GOOD.format(name="hello"), "the folder must have the same name"),
    ],
)
def test_a_file_holds_exactly_the_tool_of_its_folder(folder: Path, text: str, problem: str) -> None:
    put(folder, "greet", text)
    with pytest.raises(InvalidInput, match=problem):
        discover(folder, package=None)


def test_a_contradictory_contract_is_reported_when_the_tool_is_found(folder: Path) -> None:
    put(folder, "greet", GOOD.format(name="greet").replace("Effect.NONE", "Effect.REVERSIBLE"))
    with pytest.raises(SchemaInvalid, match="a reversible tool has an undo"):
        discover(folder, package=None)


def test_the_tools_cannot_be_changed_behind_the_registrys_back(folder: Path) -> None:
    put(folder, "greet", GOOD.format(name="greet"))
    registry = discover(folder, package=None)
    with pytest.raises(TypeError):
        registry.tools["evil"] = registry["greet"]  # type: ignore[index]
