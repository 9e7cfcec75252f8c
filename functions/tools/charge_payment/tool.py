"""Charges a card, and refunds it when the workflow is rolled back."""

from datetime import timedelta
from decimal import Decimal

from pydantic import Field

from apex.adapters.keyed_service import KeyedService
from apex.app.step_handler import serve
from apex.tools import Call, Effect, Input, Lane, Output, Probe, UndoOfAbsent, tool

charges = KeyedService("payments", "charges", undo="refund", applied="settled")


class Payment(Input):
    amount: Decimal = Field(gt=0, decimal_places=2)
    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    card: str
    description: str = ""


class Charge(Output):
    charge_id: str
    amount: str
    currency: str
    receipt: str


@tool(
    description="Charge an amount of money to a card on file.",
    examples=("Charge $900 to my card", 'Charge $45.50 to my card for "a new bike"'),
    lane=Lane.YELLOW,
    effect=Effect.REVERSIBLE,
    undo_of_absent=UndoOfAbsent.FENCES,
    settles_within=timedelta(seconds=10),
    idempotency_window=timedelta(hours=24),
    service="payments",
)
def charge_payment(payment: Payment, call: Call) -> Charge:
    order = {"card": payment.card, "amount": f"{payment.amount:.2f}", "currency": payment.currency}
    answer = charges.apply(call, order)
    return Charge(**{name: answer[name] for name in Charge.model_fields})


@charge_payment.undo
def refund_payment(payment: Payment, charged: Charge | None, call: Call) -> None:
    charges.undo(call)


@charge_payment.probe
def find_charge(payment: Payment, call: Call) -> Probe[Charge]:
    found = charges.find(call)
    if found is None:
        return Probe.not_seen()
    settled, _ = found
    # The bank tells whether a charge settled but gives its receipt only once: applied, the result is lost.
    return Probe.applied() if settled else Probe.never()


handler = serve(charge_payment)
