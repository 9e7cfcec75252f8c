"""References in step inputs: what they mean, what they refuse, and that they never expand twice."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.errors import ReferenceInvalid
from apex.workflow.references import (
    MAX_RESOLVED_CHARACTERS,
    Reference,
    parse_text,
    references_in,
    render,
    resolve,
)

RESULTS = {
    "s1": {
        "flight_id": "AF-1",
        "price": 420.5,
        "seats": 3,
        "refundable": False,
        "note": None,
        "items": [{"price": 10}, {"price": 20}],
        "with_dash-and_9": "ok",
    },
    "s2": ["a", ["b"]],
    "book-1": {"id": "X"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{s1.flight_id}}", "AF-1"),
        ("{{ s1.flight_id }}", "AF-1"),
        ("{{s1.price}}", 420.5),
        ("{{s1.seats}}", 3),
        ("{{s1.refundable}}", False),
        ("{{s1.note}}", None),
        ("{{s1.items}}", [{"price": 10}, {"price": 20}]),
        ("{{s1.items[1].price}}", 20),
        ("{{s2[1][0]}}", "b"),
        ("{{s2}}", ["a", ["b"]]),
        ("{{book-1.id}}", "X"),
        ("{{s1.with_dash-and_9}}", "ok"),
    ],
)
def test_a_lone_reference_is_the_value_itself_with_its_type(text: str, value: Any) -> None:
    resolved = resolve({"field": text}, RESULTS)["field"]
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Trip {{s1.flight_id}} booked", "Trip AF-1 booked"),
        ("{{s1.flight_id}}{{s2[0]}}", "AF-1a"),
        ("{{s1.flight_id}} ", "AF-1 "),
        ("{{s1.price}} euros, {{s1.seats}} seats", "420.5 euros, 3 seats"),
        ("refundable: {{s1.refundable}}, note: {{s1.note}}", "refundable: false, note: null"),
        ("items {{s1.items}}", 'items [{"price":10},{"price":20}]'),
    ],
)
def test_inside_text_a_reference_is_rendered(text: str, value: Any) -> None:
    assert resolve(text, RESULTS) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{{{s1.flight_id}}", "{{s1.flight_id}}"),
        ("a {{{{ b }} c", "a {{ b }} c"),
        ('{"id":{{s1.seats}}}', '{"id":3}'),
        ("{{{s1.seats}}}", "{3}"),
        ("{{{{{{s1.seats}}", "{{3"),
        ("one { two } three }} four", "one { two } three }} four"),
        ("", ""),
    ],
)
def test_literal_braces(text: str, value: Any) -> None:
    assert resolve(text, RESULTS) == value


@pytest.mark.parametrize(
    "text",
    [
        "{{",
        "{{}}",
        "{{ }}",
        "{{s1.}}",
        "{{s1..x}}",
        "{{s1.flight id}}",
        "{{s1.items[-1]}}",
        "{{s1.items[x]}}",
        "{{s1.items[0}}",
        "{{s1.price|round}}",
        "{{s1.price + 1}}",
        "{{s1.flight_id}",
        "{{1s.x}}",
        "{{.x}}",
        "before {{s1 .x}} after",
        "{{{",
    ],
)
def test_two_braces_that_begin_no_reference_are_refused_and_never_text(text: str) -> None:
    with pytest.raises(ReferenceInvalid):
        resolve(text, RESULTS)
    with pytest.raises(ReferenceInvalid):
        references_in({"x": [text]})


def test_references_are_listed_with_their_paths_in_reading_order() -> None:
    found = references_in({"a": "{{s2[0].x}} {{s1}}", "b": [{"c": "{{ s2[0].x }}"}], "d": 4, "e": "{{{{no}}"})
    assert found == [
        Reference("s2", (0, "x"), "{{s2[0].x}}"),
        Reference("s1", (), "{{s1}}"),
        Reference("s2", (0, "x"), "{{ s2[0].x }}"),
    ]


def test_all_problems_are_told_at_once() -> None:
    value = {
        "a": "{{s1.nope}}",
        "b": ["{{s9.x}}", "{{s1.items[2]}}"],
        "c": "{{s1.flight_id.deeper}}",
        "d": "{{broken",
        "e": "{{s2.name}}",
    }
    with pytest.raises(ReferenceInvalid) as caught:
        resolve(value, RESULTS)
    problems = caught.value.details["problems"]
    assert len(problems) == 6
    for part in ("s1.nope", "s9", "position 2", "field deeper", "d: '{{broken'", "s2.name"):
        assert any(part in problem for problem in problems), part
        assert part in str(caught.value)


def test_a_step_that_is_not_handed_in_cannot_be_referred_to() -> None:
    with pytest.raises(ReferenceInvalid, match="s2 is not a dependency"):
        resolve("{{s2}}", {"s1": {}})


def test_the_name_of_a_field_takes_no_reference() -> None:
    with pytest.raises(ReferenceInvalid, match="the name of a field cannot hold a reference"):
        resolve({"{{s1.flight_id}}": 1}, RESULTS)


def test_braces_in_a_result_are_data() -> None:
    results = {"s1": {"text": "{{s2.secret}} {{"}, "s2": {"secret": "hidden"}}
    assert resolve("{{s1.text}}", results) == "{{s2.secret}} {{"
    assert resolve("say {{s1.text}}", results) == "say {{s2.secret}} {{"


def test_text_that_doubles_from_step_to_step_is_stopped_before_it_is_built() -> None:
    text = "x" * (MAX_RESOLVED_CHARACTERS // 2)
    text = resolve("{{s1.t}}{{s1.t}}", {"s1": {"t": text}})
    assert len(text) == MAX_RESOLVED_CHARACTERS
    with pytest.raises(ReferenceInvalid, match=f"bring in {2 * len(text)} characters"):
        resolve(["{{s1.t}}", "{{s1.t}}"], {"s1": {"t": text}})


# ── properties ──────────────────────────────────────────────────────────────────────────────────────────────

Case = tuple[Any, dict[str, Any], Any]
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
WILD_TEXT = st.one_of(st.text(), st.text(alphabet="{}s1.x[0] "))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
WILD_JSON = st.recursive(
    SCALARS | WILD_TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4)
)
PLAIN_JSON = st.recursive(
    SCALARS | st.text().filter(lambda text: "{{" not in text),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
)


@st.composite
def paths(draw: st.DrawFn, value: Any) -> tuple[str, Any]:
    """A path that exists in the value, and what stands there."""
    text = ""
    while isinstance(value, (dict, list)) and value and draw(st.booleans()):
        if isinstance(value, dict):
            key = draw(st.sampled_from(sorted(value)))
            text, value = f"{text}.{key}", value[key]
        else:
            index = draw(st.integers(0, len(value) - 1))
            text, value = f"{text}[{index}]", value[index]
    return text, value


@st.composite
def inputs_with_answers(draw: st.DrawFn) -> Case:
    """An input over some results, and what it must resolve to, made side by side."""
    results = draw(st.dictionaries(st.sampled_from(["s1", "s2", "Step-3"]), WILD_JSON, min_size=1))

    def reference() -> tuple[str, Any]:
        step = draw(st.sampled_from(sorted(results)))
        path, value = draw(paths(results[step]))
        return f"{{{{{step}{path}}}}}", value

    def leaf() -> tuple[Any, Any]:
        kind = draw(st.sampled_from(["plain", "lone", "text", "escape"]))
        if kind == "plain":
            plain = draw(PLAIN_JSON)
            return plain, plain
        if kind == "escape":
            inner = draw(st.text(alphabet="abc ."))
            return f"{{{{{{{{{inner}}}}}", f"{{{{{inner}}}}}"
        text, value = reference()
        if kind == "lone":
            return text, value
        before, after = draw(st.text(alphabet="abc }")), draw(st.text(alphabet="abc }"))
        return f"{before} {text} {after}", f"{before} {render(value)} {after}"

    def node(depth: int) -> tuple[Any, Any]:
        kind = draw(st.sampled_from(["leaf", "list", "dict"])) if depth else "leaf"
        if kind == "leaf":
            return leaf()
        pairs = [node(depth - 1) for _ in range(draw(st.integers(0, 3)))]
        if kind == "list":
            return [given for given, _ in pairs], [expected for _, expected in pairs]
        return (
            {f"k{index}": given for index, (given, _) in enumerate(pairs)},
            {f"k{index}": expected for index, (_, expected) in enumerate(pairs)},
        )

    given, expected = node(3)
    return given, results, expected


def same_json(left: Any, right: Any) -> bool:
    """Equality that tells 1 from 1.0 and true."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


@given(inputs_with_answers())
def test_every_reference_is_replaced_by_what_stands_there_and_results_are_never_expanded(case: Case) -> None:
    value, results, expected = case
    assert same_json(resolve(value, results), expected)


@given(PLAIN_JSON, st.dictionaries(NAMES, WILD_JSON, max_size=2))
def test_a_value_without_references_is_handed_back_as_the_same_object(value: Any, results: dict[str, Any]) -> None:
    assert references_in(value) == []
    assert resolve(value, results) is value


@given(inputs_with_answers())
def test_the_order_of_the_results_does_not_matter(case: Case) -> None:
    value, results, _ = case
    backwards = dict(reversed(results.items()))
    assert same_json(resolve(value, results), resolve(value, backwards))


@given(WILD_TEXT, WILD_JSON)
def test_any_text_at_all_is_either_understood_completely_or_refused(text: str, result: Any) -> None:
    try:
        pieces = parse_text(text)
    except ReferenceInvalid:
        assert "{{" in text
        with pytest.raises(ReferenceInvalid):
            resolve(text, {"s1": result})
        return
    # Written back, the pieces are the text: nothing was dropped.
    assert "".join(p.text if isinstance(p, Reference) else p for p in pieces) == text.replace("{{{{", "{{")


@given(WILD_TEXT)
def test_every_text_can_be_written_literally(text: str) -> None:
    assert resolve(text.replace("{{", "{{{{"), {}) == text
