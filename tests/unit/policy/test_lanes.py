"""The risk lanes: the first rule that matches decides, and nothing dangerous slips through by its spelling."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.errors import InvalidInput, PolicyDenied
from apex.policy.lanes import BLOCKED_TOOLS, SAFE_TOOLS, SENSITIVE_TOOLS, assess, check
from apex.policy.risk import read_number, risk_factors
from apex.schema.contract import Contract, Effect, Lane

BLOCKED = "execute_sql_raw shell_execute file_system_write admin_override"
SENSITIVE = (
    "transfer_funds process_payment refund_payment update_billing modify_subscription delete_record delete_user"
    " purge_data truncate_table drop_table deactivate_account suspend_user revoke_access reset_credentials"
    " change_permissions modify_config update_secrets deploy_code rollback_deployment restart_service send_email"
    " send_sms send_notification broadcast_message webhook_external api_call_external publish_event"
)
SAFE = "search_database read_record get_config list_users check_status validate_input check_semantic_cache read_data"
ORDER = list(Lane)


def contract(lane: Lane = Lane.GREEN, effect: Effect = Effect.NONE) -> Contract:
    return Contract(
        name="some_tool",
        description="A tool to be judged.",
        lane=lane,
        effect=effect,
        compensation="undo_it" if effect is Effect.REVERSIBLE else None,
        input_schema={},
        output_schema={},
    )


def lane(tool: str, given_input: Any = None) -> Lane:
    return assess(tool, given_input or {}, contract=None).lane


def test_the_lists_are_those_of_the_contract() -> None:
    assert frozenset(BLOCKED.split()) == BLOCKED_TOOLS
    assert frozenset(SENSITIVE.split()) == SENSITIVE_TOOLS
    assert frozenset(SAFE.split()) == SAFE_TOOLS


@pytest.mark.parametrize("spelling", [str, str.upper, str.title, lambda name: f"  {name}\n"])
def test_every_listed_tool_is_in_its_lane_however_it_is_spelled(spelling: Any) -> None:
    assert {lane(spelling(name)) for name in BLOCKED.split()} == {Lane.BLOCKED}
    assert {lane(spelling(name)) for name in SENSITIVE.split()} == {Lane.RED}
    assert {lane(spelling(name)) for name in SAFE.split()} == {Lane.GREEN}
    assert {lane(spelling(name)) for name in ("book_flight", "shell_execute2", "")} == {Lane.YELLOW}


@pytest.mark.parametrize(
    ("tool", "given_input", "effect", "lane", "rule"),
    [
        ("shell_execute", {"amount": 1, "force": True}, Effect.IRREVERSIBLE, Lane.BLOCKED, "blocked tool"),
        ("send_email", {"force": True}, Effect.IRREVERSIBLE, Lane.RED, "sensitive tool"),
        ("read_data", {"amount": 20_000}, Effect.IRREVERSIBLE, Lane.RED, "irreversible step"),
        ("read_data", {"amount": 10_000}, Effect.NONE, Lane.RED, "high risk"),
        ("read_data", {"force": True, "scope": "all"}, Effect.NONE, Lane.RED, "high risk"),
        ("read_data", {"force": True}, Effect.NONE, Lane.YELLOW, "one risk factor"),
        ("read_data", {"force": False, "amount": 9_999.99}, Effect.NONE, Lane.GREEN, "safe tool"),
        ("book_flight", {"force": False}, Effect.REVERSIBLE, Lane.YELLOW, "unknown tool"),
    ],
)
def test_the_first_rule_that_matches_decides(
    tool: str, given_input: Any, effect: Effect, lane: Lane, rule: str
) -> None:
    verdict = assess(tool, given_input, contract=contract(effect=effect))
    assert (verdict.lane, verdict.rule) == (lane, rule)
    assert verdict.reasons


@pytest.mark.parametrize("own", ORDER)
@pytest.mark.parametrize("tool", ["read_data", "book_flight", "send_email", "shell_execute"])
def test_the_stricter_of_contract_and_rules_holds(own: Lane, tool: str) -> None:
    by_rules = lane(tool)
    verdict = assess(tool, {}, contract=contract(lane=own))
    assert verdict.lane is max(own, by_rules, key=ORDER.index)
    assert (verdict.rule == "contract") is (ORDER.index(own) > ORDER.index(by_rules))


# ── risk factors ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("field", ["amount", "value", "quantity", "Amount", " VALUE "])
@pytest.mark.parametrize(
    "number",
    [
        10_000, 10_000.0, -10_000, 2**70, -1e300, Decimal(10_000), "10000", "$20,000", "$ 20,000.00", "-$20,000",
        "$-20,000", "($20,000)", "20000 EUR", "EUR 20.000,00", "€20.000,00", "1.000.000", "20 000", "20_000", "20'000",
        "1e4", "+1E+5", "USD20000.", "10000.00$", " 10000 ", "20000", "−20000", "10,000,000",
        "1e999999999", "9" * 5000, ["5", 10_000],
    ],
)  # fmt: skip
def test_a_large_amount_is_red_by_itself(field: str, number: Any) -> None:
    assert assess("read_data", {field: number}, contract=None).lane is Lane.RED


@pytest.mark.parametrize(
    "number",
    [
        0, 9_999, 9_999.99, -9_999.99, True, None, "", "9,999", "$9,999.99", "9.999,99", "99,99", "9000,5", "1e3",
        "none", "many", ".99999", "$.99999", "{{s1.price}}", "1-2-3", "12:30", "$", ".", "1,2,3,4",
        [9_999, 9_999], {"usd": 1},
    ],
)  # fmt: skip
def test_a_small_amount_or_none_is_no_risk_factor(number: Any) -> None:
    assert assess("read_data", {"amount": number}, contract=None).lane is Lane.GREEN


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$20,000.50", "20000.50"),
        ("20.000,50", "20000.50"),
        ("1.5", "1.5"),
        ("(1,500)", "-1500"),
        ("-$3", "-3"),
        ("12,5", "12.5"),
        ("$.5", "0.5"),
        ("a lot", None),
    ],
)
def test_numbers_are_read_from_text(text: str, number: str | None) -> None:
    assert read_number(text) == (None if number is None else Decimal(number))


@pytest.mark.parametrize("value", ["all", "ALL", " Global ", "system", ["users", "all"]])
def test_a_wide_scope_is_one_risk_factor(value: Any) -> None:
    assert assess("read_data", {"scope": value}, contract=None).lane is Lane.YELLOW


@pytest.mark.parametrize("value", ["one", "", "overall", None, 1, ["users"], {"all": 1}])
def test_a_narrow_scope_is_none(value: Any) -> None:
    assert assess("read_data", {"scope": value}, contract=None).lane is Lane.GREEN


@pytest.mark.parametrize("field", ["force", "cascade", "admin", "FORCE"])
@pytest.mark.parametrize("value", [True, "TRUE", "yes", 1, "1", " on ", "y", -1, 0.5, "whatever", {"a": 1}, ["yes"]])
def test_a_truthy_flag_is_one_risk_factor(field: str, value: Any) -> None:
    assert assess("read_data", {field: value}, contract=None).lane is Lane.YELLOW


@pytest.mark.parametrize(
    "value", [False, None, 0, 0.0, "", "false", "False", "NO", "0", "off", " n ", "null", {}, [], [False]]
)
def test_a_falsy_flag_is_none(value: Any) -> None:
    assert assess("read_data", {"force": value}, contract=None).lane is Lane.GREEN


@pytest.mark.parametrize(
    "given_input",
    [
        {"force": True, "admin": True},
        {"force": True, "scope": "all"},
        {"a": [{"b": {"force": "yes"}}], "c": {"scope": "Global"}},
        {"items": [{"force": True}, {"force": True}]},
        [{"cascade": 1}, {"cascade": 1}],
    ],
)
def test_two_risk_factors_are_red_wherever_they_are_nested(given_input: Any) -> None:
    verdict = assess("read_data", given_input, contract=None)
    assert verdict.lane is Lane.RED
    assert len(verdict.reasons) == 2


@pytest.mark.parametrize(
    "given_input",
    [
        {"amount": float("nan")},
        {"amount": float("inf")},
        {"amount": "NaN"},
        {"amount": "-Infinity"},
        {"value": " inf "},
        {"deep": [{"anything": float("-inf")}]},
        {"quantity": Decimal("NaN")},
    ],
)
@pytest.mark.parametrize("tool", ["read_data", "shell_execute"])
def test_what_is_no_finite_number_is_invalid_input(tool: str, given_input: Any) -> None:
    with pytest.raises(InvalidInput):
        assess(tool, given_input, contract=None)


def test_reasons_name_places_and_not_values() -> None:
    verdict = assess("read_data", {"order": [{"amount": 123_456}], "force": "hunter2"}, contract=None)
    assert verdict.reasons == ("order[0].amount is 10,000 or more", "force is set")


def test_hostile_text_is_judged_in_linear_time() -> None:
    """A quadratic reading of these would take hours."""
    for text in ("1" + "a" * 1_000_000 + "1", "a" * 1_000_000, "1," * 500_000, "(" * 1_000_000, "." * 1_000_000):
        assert lane("read_data", {"amount": text, "scope": text}) in set(Lane)


# ── asking for permission ───────────────────────────────────────────────────────────────────────────────────


def test_green_and_yellow_run() -> None:
    assert check("read_data", {}, contract=contract()).lane is Lane.GREEN
    assert check("book_flight", {"amount": 900}, contract=contract(Lane.YELLOW)).lane is Lane.YELLOW


@pytest.mark.parametrize(
    ("tool", "given_input", "own", "refused"),
    [
        ("send_email", {}, Lane.GREEN, Lane.RED),
        ("Shell_Execute ", {}, Lane.GREEN, Lane.BLOCKED),
        ("charge_payment", {"amount": "$20,000"}, Lane.YELLOW, Lane.RED),
        ("book_flight", {}, Lane.BLOCKED, Lane.BLOCKED),
    ],
)
def test_red_and_blocked_are_refused(tool: str, given_input: Any, own: Lane, refused: Lane) -> None:
    with pytest.raises(PolicyDenied, match=refused.value) as caught:
        check(tool, given_input, contract=contract(own))
    assert caught.value.details["lane"] == refused.value
    assert caught.value.details["rule"]
    assert caught.value.details["reasons"]


# ── properties ──────────────────────────────────────────────────────────────────────────────────────────────

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["amount", "scope", "force", "admin", "a", "b"]), inner, max_size=3)
    ),
)


@given(JSON, st.sampled_from(["read_data", "book_flight", "send_email", "shell_execute"]), st.sampled_from(ORDER))
def test_wrapping_an_input_never_makes_it_milder(value: Any, tool: str, own: Lane) -> None:
    plain = assess(tool, {"x": value}, contract=contract(own)).lane
    wrapped = assess(tool, {"deep": [{"er": {"x": value}}], "harmless": 1}, contract=contract(own)).lane
    assert wrapped is plain


@given(JSON)
def test_more_risk_never_makes_a_call_milder(value: Any) -> None:
    before = assess("read_data", {"x": value}, contract=None).lane
    after = assess("read_data", {"x": value, "force": True}, contract=None).lane
    assert ORDER.index(after) >= ORDER.index(before)
    assert len(risk_factors({"x": value, "force": True})) == len(risk_factors({"x": value})) + 1


@given(st.text())
def test_any_text_is_read_as_a_finite_number_or_none(text: str) -> None:
    number = read_number(text)
    assert number is None or number.is_finite()


@given(st.integers(-(10**9), 10**9), st.sampled_from(["{:,}", "${:,}", "{}", "{:,}.00 USD", "{:_}", "EUR {:,}"]))
def test_the_way_an_amount_is_written_does_not_matter(amount: int, form: str) -> None:
    assert lane("read_data", {"amount": form.format(amount)}) is lane("read_data", {"amount": amount})
