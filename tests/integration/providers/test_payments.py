"""Money: exact to the cent, never beyond the credit, never through a float."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.providers.world import CHARGE, Provider

amounts = st.integers(1, 10**9).map(lambda cents: f"{cents // 100}.{cents % 100:02d}")


def card(payments: Provider, name: str = "card-on-file") -> dict[str, str]:
    (found,) = [row for row in payments.inventory() if row["card"] == name]
    return found


def test_the_card_on_file_has_five_thousand_dollars_of_credit(payments: Provider) -> None:
    assert card(payments) == {"card": "card-on-file", "limit": "5000.00", "charged": "0.00", "available": "5000.00"}


def test_a_charge_settles_and_is_receipted(payments: Provider) -> None:
    charge = payments.post("/charges", CHARGE, key="k1").body
    assert charge["receipt"]
    assert (charge["amount"], charge["currency"], charge["status"]) == ("900.00", "USD", "settled")
    assert card(payments)["available"] == "4100.00"
    (entry,) = payments.ledger()
    assert entry["what"] == {"card": "card-on-file", "amount": "900.00", "currency": "USD"}


def test_the_last_cent_can_be_charged_and_not_one_more(payments: Provider) -> None:
    assert payments.post("/charges", {**CHARGE, "amount": "5000.00"}, key="k1").status == 201
    reply = payments.post("/charges", {**CHARGE, "amount": "0.01"}, key="k2")
    assert (reply.status, reply.body["code"], reply.body["reason"]) == (402, "card_declined", "insufficient_credit")
    assert card(payments)["available"] == "0.00"


@pytest.mark.parametrize(
    ("change", "reason"), [({"card": "nobody's"}, "unknown_card"), ({"currency": "EUR"}, "currency_not_supported")]
)
def test_a_decline_says_why(payments: Provider, change: dict[str, str], reason: str) -> None:
    reply = payments.post("/charges", {**CHARGE, **change}, key="k1")
    assert (reply.status, reply.body["reason"]) == (402, reason)
    assert payments.ledger() == []


@pytest.mark.parametrize(
    "amount", [900, 900.0, "900.5", "900.001", "-1.00", "0", "0.00", "1e3", "09.00", "NaN", " 9.00", "٩.00", "", None]
)
def test_an_amount_that_is_not_plain_money_is_refused(payments: Provider, amount: object) -> None:
    reply = payments.post("/charges", {**CHARGE, "amount": amount}, key="k1")
    assert (reply.status, reply.body["field"]) == (422, "amount")
    assert payments.ledger() == []


def test_the_same_amount_written_differently_is_the_same_request(payments: Provider) -> None:
    first = payments.post("/charges", {**CHARGE, "amount": "900"}, key="k1")
    assert payments.post("/charges", {**CHARGE, "amount": "900.00"}, key="k1") == first


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(charges=st.lists(amounts, min_size=1, max_size=6), data=st.data())
def test_charges_and_refunds_add_up_to_the_cent(payments: Provider, charges: list[str], data: st.DataObject) -> None:
    payments.admin("/reset", {})
    payments.admin("/cards", {"card": "gold", "limit": "9999999999.99"})
    for number, amount in enumerate(charges):
        reply = payments.post("/charges", {"card": "gold", "amount": amount, "currency": "USD"}, key=f"k{number}")
        assert reply.body["amount"] == amount
    refunded = data.draw(st.sets(st.sampled_from(range(len(charges)))))
    for number in refunded:
        reply = payments.post(f"/charges/by-key/k{number}/refund", {}, key=f"u{number}")
        assert reply.body["amount"] == charges[number]
    owed = sum((Decimal(amount) for n, amount in enumerate(charges) if n not in refunded), Decimal(0))
    assert Decimal(card(payments, "gold")["charged"]) == owed
    assert Decimal(card(payments, "gold")["available"]) == Decimal("9999999999.99") - owed
    signs = {"apply": 1, "undo": -1}
    assert sum(signs[entry["kind"]] * Decimal(entry["what"]["amount"]) for entry in payments.ledger()) == owed


def test_a_race_for_credit_is_never_lost_by_the_bank(payments: Provider) -> None:
    def charge(number: int) -> int:
        return payments.post("/charges", CHARGE, key=f"k{number}").status

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(charge, range(20)))
    assert sorted(statuses) == [201] * 5 + [402] * 15
    assert card(payments)["charged"] == "4500.00"


def test_a_limit_below_what_is_charged_leaves_no_credit(payments: Provider) -> None:
    payments.post("/charges", CHARGE, key="k1")
    assert payments.admin("/cards", {"card": "card-on-file", "limit": "100.00"})["available"] == "0.00"
    assert payments.post("/charges", {**CHARGE, "amount": "0.01"}, key="k2").status == 402
