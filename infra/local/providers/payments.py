"""Payments: cards with a credit limit, charges that settle at once, and refunds in full. US dollars only.

A probe says whether a charge settled but never hands out the receipt again: who lost the answer has lost it.
"""

from collections.abc import Mapping
from typing import ClassVar

from infra.local.providers import fields
from infra.local.providers.messages import Answer, Json, Refusal, Request
from infra.local.providers.provider import Effect, Provider, Route, Words, new_id
from infra.local.providers.store import Record, Transaction

DEFAULT_CARD = "card-on-file"
DEFAULT_LIMIT = 5000_00
CURRENCY = "USD"


class Payments(Provider):
    """POST /charges and charges by key; POST /cards makes a card or changes its limit."""

    name = "payments"
    starts_with: ClassVar[Mapping[str, int]] = {DEFAULT_CARD: DEFAULT_LIMIT}
    probe_tells_answer = False
    words = Words("charges", apply="charge", undo="refund", applied="settled", undone="refunded", refused="declined")

    def routes(self) -> tuple[Route, ...]:
        """Making a card."""
        return (Route("POST", "/cards", self._set_card),)

    def _set_card(self, request: Request) -> Answer:
        fields.only(request.body, "card", "limit")
        card, limit = fields.text(request.body, "card"), fields.cents(request.body, "limit")
        with self.store.transaction() as tx:
            tx.set_capacity(card, limit)
            return Answer(200, _card(tx, card))

    def parse(self, body: Json) -> Json:
        """Reads ``{card, amount, currency}``; the amount becomes cents."""
        fields.only(body, "card", "amount", "currency")
        amount, currency = fields.cents(body, "amount"), fields.text(body, "currency")
        if amount == 0:
            raise Refusal(422, "invalid_request", "amount must be above zero", field="amount")
        if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
            raise Refusal(422, "invalid_request", "currency is a code of three capital letters", field="currency")
        return {"card": fields.text(body, "card"), "amount": amount, "currency": currency}

    def perform(self, tx: Transaction, request: Json) -> Effect:
        """Takes the amount off the card's credit, or answers 402 ``card_declined`` with a reason."""
        card, amount, currency = request["card"], request["amount"], request["currency"]
        limit = tx.stock(card).capacity
        if limit is None:
            raise _declined("unknown_card")
        if currency != CURRENCY:
            raise _declined("currency_not_supported")
        if amount > limit - tx.stock(card).taken:
            raise self.declined()
        charge = {"card": card, "amount": fields.money(amount), "currency": currency}
        answer = {
            "charge_id": new_id("CH"),
            "status": self.words.applied,
            **charge,
            "receipt": new_id("RCPT"),
        }
        return Effect(answer, ledger=charge, holdings={card: amount})

    def undone(self, record: Record) -> Json:
        """Says how much went back; always all of it."""
        return {
            "refund_id": new_id("RF"),
            "status": self.words.undone,
            "amount": record.what["amount"],
            "currency": record.what["currency"],
        }

    def declined(self) -> Refusal:
        """The credit does not suffice."""
        return _declined("insufficient_credit")

    def inventory(self, tx: Transaction) -> list[Json]:
        """Cards with limit, charged and available amounts."""
        return [_card(tx, stock.item) for stock in tx.all_stock()]


def _declined(reason: str) -> Refusal:
    return Refusal(402, "card_declined", f"the card was declined: {reason.replace('_', ' ')}", reason=reason)


def _card(tx: Transaction, card: str) -> Json:
    stock = tx.stock(card)
    limit = stock.capacity or 0
    # A limit lowered below what is already charged leaves no credit rather than a negative amount.
    return {
        "card": card,
        "limit": fields.money(limit),
        "charged": fields.money(stock.taken),
        "available": fields.money(max(0, limit - stock.taken)),
    }
