"""Worked examples are read from the tools' folders, and whatever is wrong with them is told at once."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from apex.errors import SchemaInvalid
from apex.planning.examples import WorkedExample
from apex.planning.library import PlanLibrary, load_library
from apex.schema.contract import Contract, Effect
from tests.unit.planning.samples import example, found


class Installed:
    contracts = MappingProxyType(
        {
            "greet": Contract(
                name="greet",
                description="Says hello to somebody.",
                effect=Effect.NONE,
                input_schema={},
                output_schema={},
            )
        }
    )


def write(folder: Path, tool: str, content: Any) -> None:
    (folder / tool).mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / tool / "examples.json").write_text(text, encoding="utf-8")


def greeting(**changes: Any) -> dict[str, Any]:
    step = {"id": "s1", "tool": "greet", "input": {"name": {"$slot": "who"}}}
    return {"id": "greeting", "goal": "Greet {who:person}", "steps": [step], **changes}


def problems(*examples: dict[str, Any]) -> list[str]:
    with pytest.raises(SchemaInvalid) as caught:
        PlanLibrary([WorkedExample.model_validate(item) for item in examples])
    return caught.value.problems


def test_every_tool_folder_may_bring_examples(tmp_path: Path) -> None:
    write(tmp_path, "greet", [greeting()])
    write(tmp_path, "another", [greeting(id="wave", goal="Wave at {who:person}")])
    (tmp_path / "silent").mkdir()
    library = load_library(tmp_path, Installed())
    assert [item.id for item in library.examples] == ["greeting", "wave"]
    plan = found(library, "Wave at Ana")
    assert plan is not None
    assert plan == found(library, "Greet Ana")


def test_no_examples_are_a_library_that_finds_nothing(tmp_path: Path) -> None:
    assert found(load_library(tmp_path, Installed()), "Greet Ana") is None


def test_all_problems_of_all_files_are_listed(tmp_path: Path) -> None:
    write(tmp_path, "a", "[{")
    write(tmp_path, "b", {"id": "not-a-list"})
    write(tmp_path, "c", [greeting(id="Bad Id", colour="red"), greeting(id="fine", goal="Hi {who:person}")])
    write(tmp_path, "d", '[{"id": "twice", "id": "twice"}]')
    write(tmp_path, "e", [greeting(id="lost", steps=[{"id": "s1", "tool": "teleport", "input": {}}])])
    with pytest.raises(SchemaInvalid) as caught:
        load_library(tmp_path, Installed())
    text = str(caught.value)
    for part in (
        "a/examples.json: Expecting",
        "b/examples.json: the file must hold a list",
        "c/examples.json[0] id:",
        "c/examples.json[0] colour:",
        "d/examples.json: the same key is there twice: id",
        "lost: s1 uses the tool 'teleport', which is not installed",
        "lost: the slot who is not used by any step",
    ):
        assert part in text
    assert "fine" not in text


def test_a_slot_left_unbound_or_unknown_is_refused() -> None:
    step = {
        "id": "s1",
        "tool": "greet",
        "input": {"a": [{"$slot": "whom"}], "b": {"$text": ["Hi ", {"$slot": "nobody"}]}},
    }
    assert problems(greeting(steps=[step])) == [
        "greeting: s1.input.a[0]: there is no slot 'whom' in the goal",
        "greeting: s1.input.b[1]: there is no slot 'nobody' in the goal",
        "greeting: the slot who is not used by any step",
    ]


@pytest.mark.parametrize(
    ("binding", "problem"),
    [
        ({"$slot": "who", "extra": 1}, "nothing may stand beside it"),
        ({"$slot": 3}, "takes the name of a slot"),
        ({"$slot": "who.currency"}, "a slot of kind person has no part 'currency', only text"),
        ({"$text": "Hi"}, "$text takes a list"),
        ({"$text": [1]}, "a piece of $text is a string or a $slot"),
        ({"$text": [], "$slot": "who"}, "nothing may stand beside it"),
        ({"$slots": "who"}, "$slots is neither $slot nor $text"),
    ],
)
def test_a_binding_that_cannot_be_filled_is_refused(binding: Any, problem: str) -> None:
    step = {"id": "s1", "tool": "greet", "input": {"name": {"$slot": "who"}, "odd": binding}}
    (told,) = problems(greeting(steps=[step]))
    assert problem in told


@pytest.mark.parametrize(
    ("goal", "problem"),
    [
        ("Greet {who:people}", "the kind of a slot is one of date, place"),
        ("Greet {who}", "the kind of a slot is one of"),
        ("Greet {Who:person}", "a slot's name is lower case"),
        ("Greet {who:person} and {who:person}", "the slot who is there twice"),
        ("Greet {who:person}'s friend", "must stand apart"),
        ("Greet {who:person", "a brace is left over"),
        ("{who:person}", "no literal word"),
    ],
)
def test_a_wording_that_cannot_be_read_is_refused(goal: str, problem: str) -> None:
    assert any(problem in told for told in problems(greeting(goal=goal)))


def test_all_wordings_of_an_example_have_the_same_slots() -> None:
    assert problems(greeting(also=["Greet them all"])) == [
        "greeting: “Greet them all” has other slots than “Greet {who:person}”"
    ]


def test_two_examples_may_not_claim_the_same_goals() -> None:
    assert problems(greeting(), greeting(id="second", goal="greet {name:person}", steps=[_named("name")])) == [
        "second: “greet {name:person}” is a goal of greeting too"
    ]
    assert "the id greeting is used twice" in problems(greeting(), greeting())


def _named(slot: str) -> dict[str, Any]:
    return {"id": "s1", "tool": "greet", "input": {"name": {"$slot": slot}}}


def test_the_order_of_the_examples_does_not_matter() -> None:
    one, two = example("Say {what:text}", id="one"), example("Print {what:text}", id="two")
    assert PlanLibrary([one, two]).examples == PlanLibrary([two, one]).examples
