"""Paths that are followed without the engine lead where the engine leads."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.plain_paths import UNSURE, follow
from infra.local.repairs.stepfunctions_jsonata import compile_query, evaluate

names = st.sampled_from(["a", "b", "and", "in"])
scalars = st.sampled_from([None, True, 0, 1, -1, 2.5, "", "x"])
data = st.recursive(
    scalars,
    lambda nested: st.lists(nested, max_size=3) | st.dictionaries(names, nested, max_size=3),
    max_leaves=12,
)
steps = st.one_of(
    names.map(".{}".format), st.integers(0, 2).map("[{}]".format), st.sampled_from(["[$i]", "[$none]", "[$b]"])
)
paths = st.builds(
    lambda root, rest: root + "".join(rest), st.sampled_from(["$states", "$a", "$i"]), st.lists(steps, max_size=4)
)


@given(paths, st.dictionaries(names, data, max_size=3), data, st.integers(-1, 3), data)
def test_a_path_leads_where_the_engine_leads(path: str, states: Mapping[str, Any], a: Any, i: int, b: Any) -> None:
    variables = {"a": a, "i": i, "b": b}
    found = follow(path, states, variables)
    if found is not UNSURE:
        by_engine = compile_query(path).evaluate({"states": states, **variables})
        assert (type(found), found) == (type(by_engine), by_engine)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$states.context.Execution.Input.tenant", "acme"),
        (" $waves[$cursor].steps[0].tool ", "book_flight"),
        ("$waves[1].size", 1),
        ("$more", False),
    ],
)
def test_the_paths_of_the_machines_need_no_engine(path: str, expected: Any) -> None:
    states = {"context": {"Execution": {"Input": {"tenant": "acme"}}}}
    waves = [{}, {"size": 1, "steps": [{"tool": "book_flight"}]}]
    assert follow(path, states, {"waves": waves, "cursor": 1, "more": False}) == expected


@pytest.mark.parametrize(
    "source", ["$a.b", "$a[0]", "$x", "$states", "$count($a)", "$a.`b`", "$a.*", "$a[-1]", "$a + 1"]
)
def test_whatever_is_not_plain_is_left_to_the_engine(source: str) -> None:
    assert follow(source, {"x": 1}, {"a": [{"b": 1}, None]}) is UNSURE


def test_an_expression_yields_the_same_with_and_without_the_engine() -> None:
    assert evaluate("$a.b", {}, {"a": {"b": 1}}) == evaluate("($a.b)", {}, {"a": {"b": 1}}) == 1
