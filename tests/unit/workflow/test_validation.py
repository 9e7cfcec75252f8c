"""Plans are refused before anything runs, with everything that is wrong with them."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from apex.errors import InvalidInput, PlanInvalid, SchemaInvalid
from apex.schema.contract import Contract, Effect, Lane
from apex.schema.plan import Plan, Step
from apex.tools import Call, Input, Output, tool
from apex.workflow.validation import MAX_PLAN_BYTES, MAX_STEPS, Judgement, parse_plan, validate_plan

# ── four typed tools, so that the contracts are those the project itself would derive ───────────────────────


class Passenger(Input):
    name: str = Field(min_length=1)
    age: int | None = Field(default=None, ge=0, le=150)


class Order(Input):
    flight_id: str = Field(pattern=r"^[A-Z]{2}-\d+$")
    day: date | None = None
    seats: int = Field(default=1, ge=1, le=9)
    cabin: Literal["economy", "business"] = "economy"
    passengers: list[Passenger] = Field(default=[], max_length=9)
    notes: dict[str, str] = Field(default={})


class Fare(Output):
    price: float
    currency: str = "EUR"


class Flights(Output):
    flight_id: str
    fares: list[Fare]
    cheapest: Fare | None = None
    anything: dict[str, Any] = Field(default={})


class Booking(Output):
    booking_id: str
    seat_numbers: list[int]
    confirmed: bool = True


class Query(Input):
    to: str
    limit: int = 10


class Payment(Input):
    amount: Decimal = Field(gt=0)
    text: str | None = None
    dry_run: bool = False


class Receipt(Output):
    ok: bool = True


@tool(description="Finds flights to a place.", effect=Effect.NONE)
def search_flights(query: Query, call: Call) -> Flights:
    raise NotImplementedError


@tool(description="Books a seat on a flight.", effect=Effect.REVERSIBLE)
def book_flight(order: Order, call: Call) -> Booking:
    raise NotImplementedError


@book_flight.undo
def cancel_flight(order: Order, booking: Booking | None, call: Call) -> None:
    raise NotImplementedError


@tool(description="Charges a card on file.", effect=Effect.REVERSIBLE)
def charge_payment(payment: Payment, call: Call) -> Receipt:
    raise NotImplementedError


@charge_payment.undo
def refund_payment(payment: Payment, receipt: Receipt | None, call: Call) -> None:
    raise NotImplementedError


@tool(description="Sends a letter that stays sent.", effect=Effect.IRREVERSIBLE)
def send_letter(query: Query, call: Call) -> Receipt:
    raise NotImplementedError


CONTRACTS: Mapping[str, Contract] = {
    each.name: each.contract for each in (search_flights, book_flight, charge_payment, send_letter)
}

SEARCH = {"id": "s1", "tool": "search_flights", "input": {"to": "Paris"}}


def plan(*steps: Mapping[str, Any]) -> Plan:
    return Plan.model_validate({"steps": list(steps)})


def problems(*steps: Mapping[str, Any], **options: Any) -> list[str]:
    """What the validation has to say, [] where the plan is accepted."""
    try:
        validate_plan(plan(*steps), CONTRACTS, **options)
    except PlanInvalid as error:
        return error.problems or ["refused without saying why"]
    return []


def book(**given: Any) -> dict[str, Any]:
    return {
        "id": "s2",
        "tool": "book_flight",
        "input": {"flight_id": "AF-1", **given},
        "depends_on": ["s1"],
    }


# ── plans that run ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_good_plan_is_accepted() -> None:
    validate_plan(
        plan(
            SEARCH,
            {
                "id": "s2",
                "tool": "book_flight",
                "input": {
                    "flight_id": "{{s1.flight_id}}",
                    "day": "2026-01-05",
                    "seats": 2,
                    "passengers": [{"name": "Ada {{s1.flight_id}}"}, {"name": "Bo", "age": 3}],
                    "notes": {"fare": "costs {{s1.fares[0].price}}"},
                },
                "depends_on": ["s1"],
                "compensation": "cancel_flight",
            },
            {
                "id": "s3",
                "tool": "charge_payment",
                "input": {"amount": "{{s1.fares[0].price}}", "text": "Trip {{s2.booking_id}}"},
                "depends_on": ["s1", "s2"],
            },
        ),
        CONTRACTS,
    )


@pytest.mark.parametrize(
    "given",
    [
        {"seats": "{{s1.fares[0].price}}"},  # a number may turn out to be whole
        {"seats": "{{s1.anything.seats}}"},  # the schema leaves it open
        {"seats": "{{s1.cheapest.price}}"},  # through an optional object
        {"cabin": "{{s1.fares[0].currency}}"},  # a text may turn out to be one of the choices
        {"day": "{{s1.flight_id}}"},  # a text may turn out to be a date
        {"notes": "{{s1.anything}}"},
        {"notes": {"braces": "{{{{ stay }}"}},
        {"passengers": "{{s1.anything.people}}"},
    ],
)
def test_what_the_schemas_leave_open_is_left_to_the_run(given: dict[str, Any]) -> None:
    assert problems(SEARCH, book(**given)) == []


# ── plans that do not ───────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_plan_is_refused() -> None:
    assert problems() == ["the plan has no steps"]


def test_a_plan_that_is_too_long_is_refused() -> None:
    steps = [{"id": f"s{at}", "tool": "search_flights", "input": {"to": "Paris"}} for at in range(4)]
    assert problems(*steps, max_steps=4) == []
    assert problems(*steps, max_steps=3) == ["the plan has 4 steps, at most 3 are allowed"]


def test_a_thousand_steps_in_one_chain_are_accepted() -> None:
    steps = [
        {
            "id": f"s{at}",
            "tool": "search_flights",
            "input": {"to": f"{{{{s{at - 1}.flight_id}}}}" if at else "Paris"},
            "depends_on": [f"s{at - 1}"] if at else [],
        }
        for at in range(MAX_STEPS)
    ]
    assert problems(*steps) == []


def test_an_id_used_twice_is_refused() -> None:
    assert "step id s1 is used 2 times" in problems(SEARCH, SEARCH)


def test_an_unknown_tool_is_refused_with_the_closest_name() -> None:
    assert problems({"id": "s1", "tool": "search_flight", "input": {}}) == [
        "step s1: there is no tool search_flight (did you mean search_flights?)"
    ]
    assert problems({"id": "s1", "tool": "Book_Flight", "input": {}}) == [
        "step s1: there is no tool Book_Flight (did you mean book_flight?)"
    ]
    assert problems({"id": "s1", "tool": "zzz", "input": {}}) == ["step s1: there is no tool zzz"]


def test_unknown_and_self_dependencies_are_refused() -> None:
    found = problems({**SEARCH, "depends_on": ["s9", "s1"]})
    assert found == ["step s1: depends on s9, which is not in the plan", "step s1: depends on itself"]


def test_a_cycle_is_refused_and_named() -> None:
    ring = [{**SEARCH, "id": f"s{at}", "depends_on": [f"s{(at + 1) % 3}"]} for at in range(3)]
    (problem,) = problems(*ring, {**SEARCH, "id": "free"})
    assert problem.startswith("steps wait for each other in a circle: ")
    names = problem.split(": ")[1].split(" -> ")
    assert len(names) == 4
    assert names[0] == names[-1]
    assert set(names) == {"s0", "s1", "s2"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{s9.x}}", "{{s9.x}} refers to s9, which is not in the plan"),
        ("{{s3.flight_id}}", "{{s3.flight_id}} refers to s3, which is not in depends_on"),
        ("{{s2.booking_id}}", "{{s2.booking_id}} refers to s2, which is not in depends_on"),
        (
            "{{s1.flightid}}",
            "{{s1.flightid}}: the result of s1 (search_flights) has no field flightid there (did you mean flight_id?)",
        ),
        ("{{s1.flight_id.x}}", "{{s1.flight_id.x}}: the result of s1 (search_flights) has no field x there"),
        ("{{s1[0]}}", "{{s1[0]}}: the result of s1 (search_flights) has no position 0 there"),
        (
            "{{s1.fares.price}}",
            "{{s1.fares.price}}: the result of s1 (search_flights) has no field price there",
        ),
        (
            "{{s1.fares[0].prize}}",
            "{{s1.fares[0].prize}}: the result of s1 (search_flights) has no field prize there (did you mean price?)",
        ),
    ],
)
def test_a_reference_that_cannot_be_resolved_is_refused(text: str, problem: str) -> None:
    steps = (SEARCH, book(notes={"a": text}), {**SEARCH, "id": "s3"})
    assert problems(*steps) == [f"step s2: {problem}"]


def test_malformed_references_are_refused() -> None:
    (problem,) = problems(SEARCH, book(notes={"a": "{{s1.flight id}}"}))
    assert problem.startswith("step s2: notes.a: '{{s1.flight id}}' is no reference")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"seats": "{{s1.flight_id}}"}, "input.seats: must be integer, but {{s1.flight_id}} is string"),
        ({"seats": "{{s1.fares}}"}, "input.seats: must be integer, but {{s1.fares}} is array"),
        ({"flight_id": "{{s1}}"}, "input.flight_id: must be string, but {{s1}} is object"),
        (
            {"flight_id": "{{s1.fares[0].price}}"},
            "input.flight_id: must be string, but {{s1.fares[0].price}} is number",
        ),
        (
            {"seats": "no. {{s1.anything.n}}"},
            "input.seats: must be integer, but the text with {{s1.anything.n}} is string",
        ),
        ({"day": "{{s1.fares}}"}, "input.day: must be string or null, but {{s1.fares}} is array"),
        ({"cabin": "{{s1.fares}}"}, "input.cabin: must be string, but {{s1.fares}} is array"),
        (
            {"passengers": [{"name": "{{s1.fares}}"}]},
            "input.passengers[0].name: must be string, but {{s1.fares}} is array",
        ),
    ],
)
def test_a_referenced_field_of_another_type_is_refused(given: dict[str, Any], problem: str) -> None:
    assert problems(SEARCH, book(**given)) == [f"step s2: {problem}"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"seats": "two"}, "input.seats: must be integer, not string"),
        ({"seats": 0}, "input.seats: must be at least 1"),
        ({"seats": 10}, "input.seats: must be at most 9"),
        ({"seats": True}, "input.seats: must be integer, not boolean"),
        ({"cabin": "first"}, "input.cabin: must be one of 'economy', 'business'"),
        ({"flight_id": "af 1"}, "input.flight_id: must match the pattern ^[A-Z]{2}-\\d+$"),
        ({"day": "tomorrow"}, "input.day: must be a valid date"),
        ({"day": 5}, "input.day: must be string or null, not integer"),
        ({"seat": 1}, "input: there is no field seat (did you mean seats?)"),
        ({"passengers": [{"age": 3}]}, "input.passengers[0]: field name is missing"),
        ({"passengers": [{"name": "A", "age": 200}]}, "input.passengers[0].age: must be at most 150"),
        ({"notes": {"a": 1}}, "input.notes.a: must be string, not integer"),
        ({"notes": ["{{s1.flight_id}}"]}, "input.notes: must be object, not array"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(given: dict[str, Any], problem: str) -> None:
    assert problems(SEARCH, book(**given)) == [f"step s2: {problem}"]


def test_missing_fields_are_named() -> None:
    assert problems({"id": "s1", "tool": "charge_payment"}) == ["step s1: input: field amount is missing"]


def test_what_was_given_is_not_repeated_in_the_message() -> None:
    (problem,) = problems(SEARCH, book(seats="4111-1111-1111-1111"))
    assert "4111" not in problem


def test_a_compensation_other_than_the_contracts_is_refused() -> None:
    assert problems(SEARCH, {**book(), "compensation": "refund_payment"}) == [
        "step s2: compensation refund_payment is not the one of book_flight, which is cancel_flight"
    ]
    assert problems({**SEARCH, "compensation": "cancel_flight"}) == [
        "step s1: compensation cancel_flight is not the one of search_flights, which is none"
    ]


def test_every_problem_of_every_step_is_told_at_once() -> None:
    found = problems(
        {"id": "s1", "tool": "search_flights", "input": {"too": "Paris", "limit": "{{s2.seat_numbers}}"}},
        {**book(flight_id="x", seats=0), "compensation": "undo", "depends_on": ["s2", "s7"]},
        {"id": "s2", "tool": "fly", "input": {"a": "{{oops"}},
    )
    for part in (
        "step id s2 is used 2 times",
        "step s1: {{s2.seat_numbers}} refers to s2, which is not in depends_on",
        "step s1: input: there is no field too (did you mean to?)",
        "step s1: input: field to is missing",
        "step s2: depends on s7, which is not in the plan",
        "step s2: depends on itself",
        "step s2: compensation undo is not the one of book_flight",
        "step s2: input.flight_id: must match the pattern",
        "step s2: input.seats: must be at least 1",
        "step s2: there is no tool fly",
        "step s2: a: '{{oops' is no reference",
    ):
        assert sum(problem.startswith(part) for problem in found) == 1, part
    assert len(found) == 11


# ── policy ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_irreversible_step_is_refused_by_default() -> None:
    (problem,) = problems({"id": "s1", "tool": "send_letter", "input": {"to": "Ada"}})
    assert problem == "step s1: policy does not let send_letter run: it is RED (its effect cannot be undone)"


class Judged:
    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.reasons = ("first", "second")


@pytest.mark.parametrize(
    ("lane", "runs"), [(Lane.GREEN, True), (Lane.YELLOW, True), (Lane.RED, False), (Lane.BLOCKED, False)]
)
def test_the_policy_decides(lane: Lane, runs: bool) -> None:
    found = problems(SEARCH, policy=lambda *_args, **_more: Judged(lane))
    refused = f"step s1: policy does not let search_flights run: it is {lane.value} (first; second)"
    assert found == ([] if runs else [refused])


def test_the_policy_sees_the_input_with_unknown_parts_as_none() -> None:
    seen: dict[str, Any] = {}

    def policy(name: str, resolved_input: Any, *, contract: Contract | None) -> Judgement:
        seen[name] = resolved_input
        assert contract is CONTRACTS[name]
        return Judged(Lane.GREEN)

    assert (
        problems(
            SEARCH,
            book(seats="{{s1.anything.n}}", notes={"a": "x {{s1.flight_id}}", "b": "{{{{"}),
            policy=policy,
        )
        == []
    )
    assert seen["book_flight"] == {"flight_id": "AF-1", "seats": None, "notes": {"a": None, "b": "{{"}}


def test_an_input_that_the_policy_cannot_judge_is_a_problem() -> None:
    def policy(*_args: Any, **_more: Any) -> Judgement:
        raise InvalidInput("amount is not a number")

    assert problems(SEARCH, policy=policy) == ["step s1: amount is not a number"]


# ── schemas with awkward shapes ─────────────────────────────────────────────────────────────────────────────


def contract(name: str, given: Mapping[str, Any], answered: Mapping[str, Any]) -> Contract:
    return Contract(
        name=name,
        description="A tool with a schema.",
        effect=Effect.NONE,
        input_schema=given,
        output_schema=answered,
    )


def accepts(given: Mapping[str, Any], answered: Mapping[str, Any], value: Any) -> bool:
    steps = (
        Step(id="a", tool="source"),
        Step(id="b", tool="target", input={"x": value}, depends_on=("a",)),
    )
    schema = {"type": "object", "properties": {"x": given}}
    contracts = {"source": contract("source", {}, answered), "target": contract("target", schema, {})}
    try:
        validate_plan(Plan(steps=steps), contracts)
    except PlanInvalid:
        return False
    return True


@pytest.mark.parametrize(
    ("given", "answered", "value", "accepted"),
    [
        ({"const": 5}, {"properties": {"n": {"type": "string"}}}, "{{a.n}}", False),
        ({"const": 5}, {"properties": {"n": {"type": "integer"}}}, "{{a.n}}", True),
        ({"enum": [1, "x"]}, {"properties": {"n": {"enum": ["y"]}}}, "{{a.n}}", True),
        ({"enum": [1, 2]}, {"properties": {"n": {"const": "y"}}}, "{{a.n}}", False),
        ({"enum": [[1]]}, {}, ["{{a.n}}"], True),
        ({"oneOf": [{"type": "string"}, {"maxLength": 3}]}, {}, "{{a}}", True),
        ({"oneOf": [{"type": "string"}, {"maxLength": 3}]}, {}, "abc", False),
        ({"not": {"type": "string"}}, {}, "{{a.x}}", True),
        ({"not": {"type": "string"}}, {}, "text", False),
        ({"uniqueItems": True}, {}, ["{{a.x}}", "{{a.x}}"], True),
        ({"uniqueItems": True}, {}, [1, 1], False),
        ({"type": ["string", "null"]}, {"type": ["null", "integer"]}, "{{a}}", True),
        ({"type": ["string", "boolean"]}, {"type": ["null", "integer"]}, "{{a}}", False),
        ({"type": "string"}, {"properties": {"x": False}}, "{{a.x}}", False),
        ({"type": "string"}, {"prefixItems": [{"type": "string"}], "items": False}, "{{a[0]}}", True),
        ({"type": "string"}, {"prefixItems": [{"type": "string"}], "items": False}, "{{a[1]}}", False),
        (
            {"type": "string"},
            {"$ref": "#/$defs/me", "$defs": {"me": {"$ref": "#/$defs/me"}}},
            "{{a.x}}",
            True,
        ),
        ({"type": "string"}, {"$ref": "#/$defs/none"}, "{{a.x}}", True),
        ({"type": "string"}, {"$ref": "http://127.0.0.1:9/schema"}, "{{a.x}}", True),
        ({"$ref": "http://127.0.0.1:9/schema"}, {}, "text", False),
    ],
)
def test_schemas_of_other_makers(given: Any, answered: Any, value: Any, accepted: bool) -> None:
    assert accepts(given, answered, value) is accepted


# ── reading a plan ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_is_read_from_json() -> None:
    text = json.dumps({"steps": [SEARCH, {**book(), "compensation": "cancel_flight"}]})
    assert parse_plan(text) == parse_plan(text.encode()) == plan(SEARCH, {**book(), "compensation": "cancel_flight"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("\ufeff{}", "not valid JSON"),
        (b"\xff\xfe\xfd", "not valid JSON"),
        ("[]", "document"),
        ("null", "document"),
        ("{}", "steps"),
        ('{"steps": 1}', "steps"),
        ('{"steps": [], "extra": 1}', "extra"),
        ('{"steps": [{"id": "1bad", "tool": "t"}]}', "steps.0.id"),
        ('{"steps": [{"id": "s", "tool": "t", "input": []}]}', "steps.0.input: must be a JSON object"),
        ('{"steps": [{"id": "s", "tool": "t", "input": {"n": NaN}}]}', "NaN is not a JSON number"),
        (
            '{"steps": [{"id": "s", "tool": "t", "input": {"n": -Infinity}}]}',
            "-Infinity is not a JSON number",
        ),
        ('{"steps": [{"id": "s", "tool": "t", "input": {"n": 1e999}}]}', "not a JSON number"),
        ('{"steps": [], "steps": []}', "the key 'steps' stands twice"),
        (
            '{"steps": [{"id": "s", "tool": "t", "input": {"a": {"b": 1, "b": 2}}}]}',
            "the key 'b' stands twice",
        ),
        ('{"steps": [{"id": "s", "tool": "t", "input": {"a": ' + "[" * 70 + "]" * 70 + "}}]}", "deeper than"),
        ("[" * 200_000, "nested too deeply"),
        ('{"steps": [{"id": "s", "tool": "t", "input": {"n": ' + "9" * 5000 + "}}]}", "not valid JSON"),
        (" " * (MAX_PLAN_BYTES + 1), "bytes, at most"),
    ],
)
def test_what_is_no_plan_is_refused(text: str | bytes, problem: str) -> None:
    with pytest.raises(SchemaInvalid) as caught:
        parse_plan(text)
    assert problem in str(caught.value)


def test_all_that_is_wrong_with_a_document_is_told() -> None:
    with pytest.raises(SchemaInvalid) as caught:
        parse_plan('{"steps": [{"id": "s", "tool": "t", "tool": "u", "colour": 1}, {"tool": "t"}]}')
    assert len(caught.value.problems) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
STEPS = st.fixed_dictionaries(
    {"id": st.sampled_from(["s1", "s2", "s3"]), "tool": st.sampled_from([*CONTRACTS, "other"])},
    optional={
        "input": st.dictionaries(
            st.sampled_from(["to", "amount", "flight_id", "seats", "day", "passengers", "notes", "x"]),
            JSON | st.sampled_from(["{{s1}}", "{{s1.fares[0].price}}", "{{s2.booking_id}} x", "{{{{", "{{"]),
        ),
        "depends_on": st.lists(st.sampled_from(["s1", "s2", "s3"]), max_size=3),
    },
)


@given(st.text() | st.lists(STEPS, max_size=3).map(lambda steps: json.dumps({"steps": steps})))
def test_any_text_is_either_a_plan_that_may_run_or_refused_with_problems(text: str) -> None:
    try:
        validate_plan(parse_plan(text), CONTRACTS)
    except SchemaInvalid as error:
        told = error.problems
    else:
        told = ["nothing to tell"]
    assert told
    assert all(told)
