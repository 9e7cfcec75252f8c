"""The tool SDK: contracts derived from types, checked inputs and results, calls that carry what a tool needs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mypy import api as mypy
from pydantic import Field, ValidationError

from apex.errors import InvalidInput, SchemaInvalid, ToolError, ToolRejected
from apex.ports.store import RecordWrite
from apex.tools import Call, Effect, Input, Lane, Output, Probe, Tool, tool

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Order(Input):
    item: str = Field(min_length=1)
    count: int = Field(default=1, ge=1)


class Receipt(Output):
    number: str
    ok: bool = True
    error: str | None = None
    paid: Decimal | None = None


def complete() -> Tool[Order, Receipt]:
    """A tool with everything."""

    @tool(
        description="Buys something.",
        examples=("Buy an apple",),
        effect=Effect.REVERSIBLE,
        lane=Lane.YELLOW,
        settles_within=timedelta(seconds=3),
        timeout=timedelta(seconds=20),
        price=Decimal("0.01"),
    )
    def buy(order: Order, call: Call) -> Receipt:
        return Receipt(number=f"{order.item}-{call.attempt}")

    @buy.undo
    def give_back(order: Order, receipt: Receipt | None, call: Call) -> None:
        """Nothing."""

    @buy.probe
    def find_purchase(order: Order, call: Call) -> Probe[Receipt]:
        return Probe.not_seen()

    return buy


def call(**more: Any) -> Call:
    fields: dict[str, Any] = {
        "tenant": "acme",
        "workflow_id": "w",
        "step_id": "s1",
        "key": "k",
        "run_key": "r",
        "attempt": 2,
        "deadline": NOON + timedelta(seconds=10),
        "now": lambda: NOON,
        "environment": {},
    }
    return Call(**(fields | more))


# ── the contract ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_contract_is_derived_from_the_functions_and_their_types() -> None:
    contract = complete().contract
    assert (contract.name, contract.compensation, contract.can_probe) == ("buy", "give_back", True)
    assert (contract.lane, contract.effect, contract.price) == (Lane.YELLOW, Effect.REVERSIBLE, Decimal("0.01"))
    assert contract.input_schema["required"] == ["item"]
    assert contract.input_schema["properties"]["count"]["minimum"] == 1
    assert contract.input_schema["additionalProperties"] is False
    assert contract.output_schema["properties"]["number"]["type"] == "string"


def test_the_function_has_longer_than_the_tool_and_the_state_longer_than_the_function() -> None:
    contract = complete().contract
    assert contract.timeout < contract.function_timeout < timedelta(seconds=contract.state_timeout_seconds)
    assert contract.state_timeout_seconds >= contract.function_timeout.total_seconds() + 10


def test_a_contract_is_plain_data_for_people_and_planners() -> None:
    summary = complete().contract.summary()
    assert (summary["name"], summary["effect"], summary["lane"]) == ("buy", "reversible", "YELLOW")


def only_run(**declared: Any) -> Tool[Order, Receipt]:
    @tool(description="Buys something.", **declared)
    def buy(order: Order, call: Call) -> Receipt:
        return Receipt(number="1")

    return buy


def test_a_reversible_tool_has_an_undo_and_only_a_reversible_one() -> None:
    assert only_run(effect=Effect.NONE).contract.compensation is None
    with pytest.raises(SchemaInvalid, match="a reversible tool has an undo"):
        _ = only_run(effect=Effect.REVERSIBLE).contract
    for effect in (Effect.NONE, Effect.IRREVERSIBLE):
        bought = only_run(effect=effect)

        @bought.undo
        def give_back(order: Order, receipt: Receipt | None, call: Call) -> None:
            """Nothing."""

        with pytest.raises(SchemaInvalid, match="only a reversible one"):
            _ = bought.contract


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"effect": "sometimes"},
        {"effect": Effect.NONE, "timeout": timedelta(0)},
        {"effect": Effect.NONE, "timeout": timedelta(hours=1)},
        {"effect": Effect.NONE, "undo_attempts": 0},
        {"effect": Effect.NONE, "colour": "red"},
        {"effect": Effect.NONE, "lane": "PURPLE"},
    ],
)
def test_a_contract_that_does_not_hold_together_is_refused_with_its_problems(declared: dict[str, Any]) -> None:
    with pytest.raises(SchemaInvalid, match="the contract of tool buy does not hold together") as caught:
        _ = only_run(**declared).contract
    assert caught.value.problems


def no_annotations(order, call):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Says nothing about its types."""


def wrong_input(order: dict[str, Any], call: Call) -> Receipt:
    """Takes anything."""
    raise NotImplementedError


def wrong_output(order: Order, call: Call) -> dict[str, Any]:
    """Answers anything."""
    raise NotImplementedError


def one_parameter(order: Order) -> Receipt:
    """Has no call."""
    raise NotImplementedError


@pytest.mark.parametrize("function", [no_annotations, wrong_input, wrong_output, one_parameter])
def test_a_function_without_the_types_of_a_tool_is_refused_when_it_is_declared(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInput, match=function.__name__):
        tool(description="Does something.", effect=Effect.NONE)(function)


# ── inputs and results ──────────────────────────────────────────────────────────────────────────────────────


def test_an_input_is_read_with_its_defaults() -> None:
    assert complete().parse_input({"item": "apple"}) == Order(item="apple", count=1)


def test_every_problem_of_an_input_is_told_and_no_value_is_repeated() -> None:
    with pytest.raises(SchemaInvalid) as caught:
        complete().parse_input({"item": "", "count": "4111-1111", "extra": "hunter2"})
    assert len(caught.value.problems) == 3
    assert all(part not in str(caught.value) for part in ("4111", "hunter2"))


def test_inputs_and_results_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        complete().parse_input({"item": "apple"}).item = "pear"  # type: ignore[misc]


def test_a_result_comes_back_from_its_stored_form() -> None:
    bought = complete()
    receipt = Receipt(number="1", paid=Decimal("9.90"))
    stored = bought.result_data(receipt)
    assert stored == {"number": "1", "ok": True, "error": None, "paid": "9.90"}
    assert bought.parse_result(stored) == receipt
    assert bought.parse_result(None) is None


@pytest.mark.parametrize(
    "result", [Receipt(number="1", ok=False), Receipt(number="1", error="sold out"), {"number": "1"}, None]
)
def test_a_result_that_reports_failure_or_is_of_another_type_is_a_failure(result: Any) -> None:
    with pytest.raises(ToolError):
        complete().result_data(result)


def test_a_probe_answers_one_of_three() -> None:
    receipt = Receipt(number="1")
    assert (Probe.applied(receipt).answer, Probe.applied(receipt).result) == ("APPLIED", receipt)
    assert (Probe.not_seen().answer, Probe.never().answer) == ("NOT_SEEN", "NEVER")


# ── the call ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_knows_how_long_it_may_take() -> None:
    assert call().seconds_left == 10
    assert call(now=lambda: NOON + timedelta(minutes=1)).seconds_left == 0


def test_a_service_is_found_in_the_environment() -> None:
    assert (
        call(environment={"APEX_SERVICE_FLIGHTS_URL": "http://127.0.0.1:1"}).service_url("flights")
        == "http://127.0.0.1:1"
    )
    for environment in ({}, {"APEX_SERVICE_FLIGHTS_URL": ""}):
        with pytest.raises(ToolRejected, match="APEX_SERVICE_FLIGHTS_URL"):
            call(environment=environment).service_url("flights")


def test_rows_are_collected_for_the_transaction_under_the_callers_tenant() -> None:
    made = call()
    made.put_record("notes", "k1", {"a": 1})
    made.delete_record("notes", "k2")
    assert made.records == [
        RecordWrite("notes", "acme", "k1", {"a": 1}, must_be_new=True),
        RecordWrite("notes", "acme", "k2", None),
    ]


def test_rows_are_read_under_the_callers_tenant() -> None:
    asked: list[tuple[str, str, str]] = []

    def read(*key: str) -> dict[str, Any]:
        asked.append((key[0], key[1], key[2]))
        return {"a": 1}

    assert call(read_record=read).get_record("notes", "k1") == {"a": 1}
    assert asked == [("notes", "acme", "k1")]
    with pytest.raises(ToolRejected, match="no database"):
        call().get_record("notes", "k1")


# ── what the type checker refuses ───────────────────────────────────────────────────────────────────────────

WRONG = """
from apex.tools import Call, Effect, Input, Output, Probe, tool

class Order(Input):
    item: str

class Receipt(Output):
    number: str

class Other(Output):
    letter: str

@tool(description="Buys something.", effect=Effect.REVERSIBLE)
def buy(order: Order, call: Call) -> Receipt:
    return Receipt(number="1")

@buy.undo
def right(order: Order, receipt: Receipt | None, call: Call) -> None: ...

@buy.undo  # wrong
def undo_of_another(order: Order, receipt: Other | None, call: Call) -> None: ...

@buy.undo  # wrong
def undo_that_needs_a_result(order: Order, receipt: Receipt, call: Call) -> None: ...

@buy.probe  # wrong
def probe_of_another(order: Order, call: Call) -> Probe[Other]:
    return Probe.never()

@buy.probe  # wrong
def probe_without_call(order: Order) -> Probe[Receipt]:
    return Probe.never()
"""


@pytest.mark.slow
def test_an_undo_or_probe_that_does_not_fit_its_tool_is_refused_by_the_type_checker(tmp_path: Path) -> None:
    file = tmp_path / "wrong_tool.py"
    file.write_text(WRONG)
    root = Path(__file__).parents[3]
    told, _, status = mypy.run(["--config-file", str(root / "pyproject.toml"), "--cache-dir", str(tmp_path), str(file)])
    wrong = {number for number, line in enumerate(WRONG.splitlines(), start=1) if line.endswith("# wrong")}
    refused = {int(line.split(":")[1]) for line in told.splitlines() if ": error:" in line}
    assert (status, refused) == (1, wrong), told
