"""Expressions that are answered without the engine have the answers of the engine."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.plain_expressions import UNSURE, answer
from infra.local.repairs import stepfunctions_jsonata
from infra.local.repairs.stepfunctions_jsonata import QueryFailed, evaluate

names = st.sampled_from(["a", "b", "and", "in"])
scalars = st.sampled_from([None, True, False, 0, 1, -1, 2.5, "", "x", "1"])
data = st.recursive(
    scalars,
    lambda nested: st.lists(nested, max_size=3) | st.dictionaries(names, nested, max_size=3),
    max_leaves=12,
)
steps = st.one_of(
    names.map(".{}".format), st.integers(0, 2).map("[{}]".format), st.sampled_from(["[$i]", "[$none]", "[$b]"])
)
paths = st.builds(
    lambda root, rest: root + "".join(rest), st.sampled_from(["$states", "$a", "$i", "$b"]), st.lists(steps, max_size=3)
)
operands = st.one_of(paths, paths.map("$count({})".format), st.sampled_from(["0", "1", "'x'", "''", "$i"]))
signs = st.sampled_from([">=", "<=", ">", "<", "=", "!=", "+", "-", "&"])
binaries = st.builds(lambda first, sign, second: f"{first} {sign} {second}", operands, signs, operands)


def by_engine(source: str, states: Any, variables: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepfunctions_jsonata, "answer", lambda *_: UNSURE)
        return evaluate(source, states, variables)


@settings(max_examples=400)
@given(paths | binaries, st.dictionaries(names, data, max_size=3), data, st.integers(-1, 3), data)
def test_an_answer_without_the_engine_is_that_of_the_engine(source: str, states: Any, a: Any, i: int, b: Any) -> None:
    variables = {"a": a, "i": i, "b": b}
    found = answer(source, states, variables)
    if found is not UNSURE:
        told = by_engine(source, states, variables)
        assert (type(found), found) == (type(told), told)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$states.context.Execution.Input.tenant", "acme"),
        (" $waves[$cursor].steps[0].tool ", "book_flight"),
        ("'apex-dev-tool-' & $waves[$cursor].steps[0].tool", "apex-dev-tool-book_flight"),
        ("$waves[$cursor].size = 1", True),
        ("$cursor >= $wave_count", False),
        ("$cursor + 1", 2),
        ("$count($failures) > 0", False),
        ("$more", False),
        ("$states.result", {"step_id": None}),
    ],
)
def test_the_expressions_of_the_machines_need_no_engine(source: str, expected: Any) -> None:
    states = {"context": {"Execution": {"Input": {"tenant": "acme"}}}, "result": {"step_id": None}}
    waves = [{}, {"size": 1, "steps": [{"tool": "book_flight"}]}]
    variables = {"waves": waves, "cursor": 1, "wave_count": 2, "more": False, "failures": []}
    assert answer(source, states, variables) == expected
    assert by_engine(source, states, variables) == expected


NOT_PLAIN = [
    *("$a.b", "$a[1]", "$x", "$states", "$count($a[0])", "$a.`b`", "$a.*", "$a[-1]"),
    *("1", "'x'", "$i + 1 + 1", "$i + $t"),
]


@pytest.mark.parametrize("source", NOT_PLAIN)
def test_whatever_is_not_plain_is_left_to_the_engine(source: str) -> None:
    assert answer(source, {"x": 1}, {"a": [{"b": [1]}, None], "i": 1, "t": "x"}) is UNSURE


def test_an_object_that_was_found_can_be_changed_without_changing_the_data() -> None:
    variables = {"a": {"b": {"c": [1]}}}
    evaluate("$a.b", {}, variables)["c"].append(2)
    assert variables == {"a": {"b": {"c": [1]}}}


def test_what_does_not_exist_is_refused_in_the_words_of_the_engine() -> None:
    with pytest.raises(QueryFailed, match="returned nothing"):
        evaluate("$a.nowhere", {}, {"a": {}})
