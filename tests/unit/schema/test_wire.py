"""What the model bases promise: frozen all through, absent stays absent, nothing renamed or converted."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apex.schema.wire import (
    MAX_DEPTH,
    FrozenDict,
    FrozenJson,
    FrozenList,
    FrozenValue,
    RecordModel,
    WireModel,
    freeze,
    problems_of,
    thaw,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
json_objects = st.dictionaries(text, json_values, max_size=4)


class Inner(WireModel):
    span_id: str
    parent_span_id: str | None = None


class Outer(WireModel):
    event_id: str
    trace_context: Inner
    payload: FrozenJson
    reply_value: FrozenValue = None
    retry_count: int = 0


class Record(RecordModel):
    step_id: str
    tool_input: FrozenJson
    result: FrozenValue = None
    attempt: int = 1


def outer(**changes: Any) -> Outer:
    return Outer(
        **{
            "event_id": "e1",
            "trace_context": Inner(span_id="s"),
            "payload": {"snake_key": [1, {"camelKey": 2}]},
            **changes,
        }
    )


def test_camel_case_is_emitted_and_keys_inside_payloads_are_left_alone() -> None:
    assert outer().to_wire() == {
        "eventId": "e1",
        "traceContext": {"spanId": "s"},
        "payload": {"snake_key": [1, {"camelKey": 2}]},
        "retryCount": 0,
    }


def test_both_spellings_are_read_but_not_both_at_once() -> None:
    camel = {"eventId": "e1", "traceContext": {"spanId": "s"}, "payload": {}}
    snake = {"event_id": "e1", "trace_context": {"span_id": "s"}, "payload": {}}
    assert Outer.model_validate(camel) == Outer.model_validate(snake)
    with pytest.raises(ValidationError, match="event_id"):
        Outer.model_validate({**camel, "event_id": "e2"})


def test_records_keep_snake_case_and_refuse_camel_case() -> None:
    record = Record(step_id="s1", tool_input={"max_price": 3})
    assert record.to_wire() == {"step_id": "s1", "tool_input": {"max_price": 3}, "attempt": 1}
    with pytest.raises(ValidationError):
        Record.model_validate({"stepId": "s1", "tool_input": {}})


@pytest.mark.parametrize("given_value", [None, ...])
def test_an_optional_without_a_value_is_absent_on_the_wire_however_it_came_about(given_value: Any) -> None:
    changes = {} if given_value is ... else {"reply_value": given_value}
    document = outer(**changes)
    assert "replyValue" not in document.to_wire()
    assert "replyValue" not in json.loads(document.model_dump_json())
    assert "parentSpanId" not in document.to_wire()["traceContext"]


def test_null_inside_a_payload_is_kept() -> None:
    assert outer(payload={"gone": None}).to_wire()["payload"] == {"gone": None}


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="surprise"):
        outer(surprise=1)


@given(json_objects, json_values)
def test_a_round_trip_loses_nothing(payload: dict[str, Any], value: Any) -> None:
    document = outer(payload=payload, reply_value=value)
    through_data = Outer.model_validate(document.to_wire())
    through_text = Outer.model_validate_json(json.dumps(document.to_wire()))
    assert document == through_data == through_text
    # json.dumps tells 1 from 1.0 and from true, which == does not.
    assert json.dumps(through_text.to_wire()) == json.dumps(document.to_wire())
    assert json.dumps(document.to_wire()["payload"]) == json.dumps(payload)


@given(json_objects)
def test_frozen_data_behaves_like_the_plain_data_it_came_from(data: dict[str, Any]) -> None:
    frozen = freeze(data)
    assert frozen == data
    assert json.dumps(frozen) == json.dumps(data)
    assert hash(frozen) == hash(freeze(copy.deepcopy(data)))
    assert pickle.loads(pickle.dumps(frozen)) == frozen  # noqa: S301 - our own bytes
    assert copy.deepcopy(frozen) is frozen
    assert copy.copy(frozen) is frozen
    thawed = thaw(frozen)
    assert thawed == data
    assert type(thawed) is dict


def test_frozen_lists_can_be_hashed_copied_and_pickled_too() -> None:
    frozen = freeze([1, [2]])
    assert hash(frozen) == hash(freeze([1, [2]]))
    assert copy.copy(frozen) is copy.deepcopy(frozen) is frozen
    assert pickle.loads(pickle.dumps(frozen)) == [1, [2]]  # noqa: S301 - our own bytes
    assert "FrozenDict" in repr(freeze({"a": 1}))


def test_documents_can_be_hashed_copied_and_pickled() -> None:
    document = outer()
    assert len({document, copy.deepcopy(document), pickle.loads(pickle.dumps(document))}) == 1  # noqa: S301
    restored = pickle.loads(pickle.dumps(document))  # noqa: S301
    with pytest.raises(TypeError, match="frozen"):
        restored.payload["snake_key"].append(1)


DICT_CHANGES: dict[str, Callable[[Any], Any]] = {
    "set": lambda d: d.__setitem__("x", 1),
    "delete": lambda d: d.__delitem__("list"),
    "update": lambda d: d.update(x=1),
    "or": lambda d: d.__ior__({"x": 1}),
    "setdefault": lambda d: d.setdefault("x", 1),
    "pop": lambda d: d.pop("list"),
    "popitem": lambda d: d.popitem(),
    "clear": lambda d: d.clear(),
}
LIST_CHANGES: dict[str, Callable[[Any], Any]] = {
    "set": lambda items: items.__setitem__(0, 9),
    "slice": lambda items: items.__setitem__(slice(0, 1), []),
    "delete": lambda items: items.__delitem__(0),
    "append": lambda items: items.append(1),
    "extend": lambda items: items.extend([1]),
    "add": lambda items: items.__iadd__([1]),
    "multiply": lambda items: items.__imul__(2),
    "insert": lambda items: items.insert(0, 1),
    "pop": lambda items: items.pop(),
    "remove": lambda items: items.remove(3),
    "clear": lambda items: items.clear(),
    "sort": lambda items: items.sort(),
    "reverse": lambda items: items.reverse(),
}


@pytest.mark.parametrize("change", DICT_CHANGES.values(), ids=DICT_CHANGES)
def test_no_method_changes_a_frozen_dict(change: Callable[[Any], Any]) -> None:
    payload = outer(payload={"list": [3, 1]}).payload
    with pytest.raises(TypeError, match="frozen"):
        change(payload)
    assert payload == {"list": [3, 1]}


@pytest.mark.parametrize("change", LIST_CHANGES.values(), ids=LIST_CHANGES)
def test_no_method_changes_a_frozen_list(change: Callable[[Any], Any]) -> None:
    payload = outer(payload={"list": [3, 1]}).payload
    with pytest.raises(TypeError, match="frozen"):
        change(payload["list"])
    assert payload == {"list": [3, 1]}


def test_every_mutating_method_of_the_builtins_is_covered() -> None:
    """A Python release that adds a mutator to dict or list must not open a hole."""
    reading = {"copy", "get", "items", "keys", "values", "fromkeys", "count", "index"}
    for frozen, builtin in ((FrozenDict, dict), (FrozenList, list)):
        public = {name for name in vars(builtin) if not name.startswith("_")} - reading
        assert public <= set(vars(frozen))


def test_calling_init_again_changes_nothing() -> None:
    payload: Any = outer(payload={"list": [3, 1]}).payload
    payload.__init__({"x": 1})
    payload["list"].__init__([9])
    assert payload == {"list": [3, 1]}


def test_a_document_does_not_follow_the_data_it_was_made_from() -> None:
    mine: dict[str, Any] = {"items": [1]}
    document = outer(payload=mine)
    mine["items"].append(2)
    mine["more"] = True
    assert document.payload == {"items": [1]}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": [float("nan")]}, r"a\[0\] is nan"),
        ({"a": float("inf")}, "a is inf"),
        ({"a": {1: "x"}}, "a.1 has a key of type int"),
        ({"a": object()}, "a is of type object"),
        ({"a": b"bytes"}, "a is of type bytes"),
        ({"a": {1, 2}}, "a is of type set"),
        ({"a": "\ud800"}, "'a' holds text that is not valid Unicode"),
    ],
)
def test_what_json_does_not_have_is_refused_by_place(value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        freeze(value)


def test_all_that_is_wrong_in_a_payload_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        outer(payload={"a": float("nan"), "b": object()})
    (problem,) = problems_of(caught.value)
    assert problem == "payload: a is nan, which is not a JSON number; b is of type object, which JSON does not have"


def test_endless_nesting_is_refused_before_the_stack_ends() -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH}"):
        freeze({"knot": knot})
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert thaw(freeze([deep])) == [deep]


def test_problems_name_the_place_and_keep_the_value_to_themselves() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"traceContext": {"spanId": 4111111111111111}, "payload": "hunter2"})
    problems = problems_of(caught.value)
    assert [problem.split(":")[0] for problem in problems] == ["eventId", "traceContext.spanId", "payload"]
    assert not any("hunter2" in problem or "4111" in problem for problem in problems)


def test_the_json_schema_speaks_camel_case() -> None:
    schema = Outer.model_json_schema()
    assert schema["required"] == ["eventId", "traceContext", "payload"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["payload"]["type"] == "object"
