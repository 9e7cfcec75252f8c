"""What JSONata expressions yield in the local Step Functions, and which of them are errors as on AWS."""

import hashlib
import threading
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.repairs.stepfunctions_jsonata import QueryFailed, compile_query, evaluate

LIST = [{"id": "a", "outcome": "confirmed"}, {"id": "b", "outcome": "rejected"}]
VARIABLES: dict[str, Any] = {"list": LIST, "one": LIST[:1], "none": [], "i": 1, "null": None, "text": 'a "b" \\ {% c'}
STATES: dict[str, Any] = {"input": {"n": 5, "nothing": None}, "context": {"Execution": {"Name": "run"}}, "result": None}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$list[$i].id", "b"),
        ("$list[-1].id", "b"),
        ("$one[0].id", "a"),
        ("$append($none, ['x'])", ["x"]),
        ("[$filter($list, function($v, $k) { $k > 0 })]", LIST[1:]),
        ("[$filter($one, function($v, $k) { $k > 0 })]", []),
        ("$count($filter($list, function($r) { $r.outcome != 'confirmed' }))", 1),
        ("$count($filter($one, function($r) { $r.outcome != 'confirmed' }))", 0),
        ("$count($filter($none, function($r) { $r.outcome != 'confirmed' }))", 0),
        ("$exists($states.input.tenant) ? $states.input.tenant : null", None),
        ("$states.input.nothing", None),
        ("{'a': $nowhere, 'b': 1}", {"b": 1}),
        ("$states.context.Execution.Name & '-' & $string($i) & '-rb'", "run-1-rb"),
        ("$text", VARIABLES["text"]),
        ("$null", None),
        ("[1..3]", [1, 2, 3]),
        ("$list.id[$ != 'a']", "b"),
        ("($x := 2; $x * $states.input.n)", 10),
        ("$states.input.n / 2", 2.5),
        ("$hash('a', 'SHA-256')", hashlib.sha256(b"a").hexdigest()),
        ("$parse('{\"a\": [null, 1]}')", {"a": [None, 1]}),
        ("$partition([1, 2, 3], 2)", [[1, 2], [3]]),
        ("$range(1, 5, 2)", [1, 3, 5]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$random(7) = $random(7)", True),
    ],
)
def test_an_expression_yields(source: str, value: Any) -> None:
    assert evaluate(source, STATES, VARIABLES) == value


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("$nowhere", "returned nothing"),
        ("$list[9].id", "returned nothing"),
        ("$filter($none, function($v) { true })", "returned nothing"),
        ("$states.result", "returned nothing"),
        ("$range(1, 0, 1)", "returned nothing"),
        ("$partition([1], 0)", "returned nothing"),
        ("'a' + 1", "threw an error"),
        ("$number('x')", "threw an error"),
        ("$error('stop')", "threw an error"),
        ("$eval('1')", "threw an error"),
        ("$hash('a', 'CRC')", "threw an error"),
        ("$parse('{')", "threw an error"),
        ("$parse(1)", "threw an error"),
        ("$partition([1], -1)", "threw an error"),
        ("function($x) { $x }", "unsupported result type"),
        ("{'f': $sum}", "unsupported result type"),
        ("1 +", "does not parse"),
    ],
)
def test_an_expression_is_an_error(source: str, reason: str) -> None:
    with pytest.raises(QueryFailed, match=reason):
        evaluate(source, STATES, VARIABLES)


@given(json_values)
def test_a_variable_comes_out_as_it_went_in(value: Any) -> None:
    assert evaluate("{'v': $v}", {}, {"v": value}) == {"v": value}


@given(st.lists(json_values), st.integers(-5, 5))
def test_an_index_by_variable_is_an_index_by_number(values: list[Any], index: int) -> None:
    by_variable = evaluate("{'found': $list[$i], 'wrapped': [$list[$i]]}", {}, {"list": values, "i": index})
    by_number = evaluate("{'found': $list[$i + 0], 'wrapped': [$list[$i + 0]]}", {}, {"list": values, "i": index})
    assert by_variable == by_number


@given(json_values)
def test_evaluation_leaves_the_variables_alone(value: Any) -> None:
    kept = {"v": {"inner": value}}
    evaluate("$merge([$v, {'inner': 1}])", {}, kept)
    assert kept == {"v": {"inner": value}}


def test_only_what_an_expression_reads_is_handed_to_it() -> None:
    query = compile_query("$states.input.n + $map([1], function($v) { $v + $i })")
    assert query.states_fields == frozenset({"input"})
    assert "i" in query.variables
    assert compile_query("$states").states_fields is None


def test_threads_do_not_see_each_others_values() -> None:
    wrong: list[Any] = []

    def ask(number: int) -> None:
        for _ in range(50):
            found = evaluate("$map([1, 2], function($v) { $v * $n })", {}, {"n": number})
            if found != [number, 2 * number]:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_each_uuid_is_new() -> None:
    first, second = evaluate("[$uuid(), $uuid()]", {}, {})
    assert uuid.UUID(first) != uuid.UUID(second)
