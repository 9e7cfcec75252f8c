"""Hotels: three near every place, each with a few dozen rooms a night."""

import datetime as dt
from dataclasses import dataclass

from infra.local.providers import fields
from infra.local.providers.messages import Answer, Json, Refusal, Request
from infra.local.providers.provider import Effect, Provider, Route, Words, inventory_row, new_id
from infra.local.providers.store import Record, Transaction

ROOMS = 40
MOST_NIGHTS = 60
CURRENCY = "USD"
_HOUSES = ("Hotel {place}", "The {place} Inn", "Grand {place}")


@dataclass(frozen=True)
class Hotel:
    """A house; ``price`` in cents for a night."""

    hotel_id: str
    name: str
    price: int


def hotels_near(place: str) -> list[Hotel]:
    """The hotels near a landmark or in a city, cheapest first."""
    slug = "-".join(place.casefold().split())
    houses = [
        Hotel(
            f"{slug}:{number}",
            house.format(place=place.removeprefix("the ")),
            fields.pick(60, 320, "night", slug, str(number)) * 100,
        )
        for number, house in enumerate(_HOUSES, start=1)
    ]
    return sorted(houses, key=lambda hotel: hotel.price)


class Hotels(Provider):
    """POST /reservations and reservations by key; picks the cheapest house with a room on every night."""

    name = "hotels"
    words = Words("reservations", apply="reserve", undo="cancel", applied="reserved", undone="cancelled")

    def routes(self) -> tuple[Route, ...]:
        """Setting the number of rooms."""
        return (Route("POST", "/inventory", self._set_rooms),)

    def _set_rooms(self, request: Request) -> Answer:
        """Rooms per night: of one hotel on one night, or of all."""
        fields.only(request.body, "hotel_id", "night", "rooms")
        rooms = fields.whole(request.body, "rooms", least=0, most=1_000_000_000)
        hotel_id, item = fields.optional_text(request.body, "hotel_id"), None
        if hotel_id is not None:
            item = _item(hotel_id, fields.date(request.body, "night"))
        self.set_capacity(item, rooms)
        return Answer(200, {"hotel_id": hotel_id, "night": request.body.get("night"), "rooms": rooms})

    def parse(self, body: Json) -> Json:
        """Reads ``{near, city?, check_in, nights, guest}``; a city alone will do."""
        fields.only(body, "near", "city", "check_in", "nights", "guest")
        near, city = fields.optional_text(body, "near"), fields.optional_text(body, "city")
        if near is None and city is None:
            raise Refusal(422, "invalid_request", "near is missing, and city too", field="near")
        return {
            "near": near,
            "city": city,
            "check_in": fields.date(body, "check_in").isoformat(),
            "nights": fields.whole(body, "nights", least=1, most=MOST_NIGHTS),
            "guest": fields.text(body, "guest"),
        }

    def perform(self, tx: Transaction, request: Json) -> Effect:
        """Takes a room on each night, or answers 409 ``sold_out``."""
        arrival = dt.date.fromisoformat(request["check_in"])
        nights = [arrival + dt.timedelta(days=night) for night in range(request["nights"])]
        for hotel in hotels_near(request["near"] or request["city"]):
            items = [_item(hotel.hotel_id, night) for night in nights]
            if all(self.free(tx, item, ROOMS) > 0 for item in items):
                reservation = {
                    "reservation_id": new_id("RS"),
                    "status": self.words.applied,
                    "hotel_id": hotel.hotel_id,
                    "hotel": hotel.name,
                    **{name: value for name, value in request.items() if value is not None},
                    "check_out": (arrival + dt.timedelta(days=len(nights))).isoformat(),
                    "price_per_night": fields.money(hotel.price),
                    "total": fields.money(hotel.price * len(nights)),
                    "currency": CURRENCY,
                }
                ledger = {"hotel_id": hotel.hotel_id, **request}
                return Effect(reservation, ledger, holdings=dict.fromkeys(items, 1))
        raise self.declined()

    def undone(self, record: Record) -> Json:
        """Names the reservation that was cancelled."""
        return {"reservation_id": record.answer["reservation_id"], "status": self.words.undone}

    def declined(self) -> Refusal:
        """No room is left."""
        return Refusal(409, "sold_out", "no house nearby has a room on all of these nights")

    def inventory(self, tx: Transaction) -> list[Json]:
        """Hotels and nights with their rooms."""
        rows = []
        for stock in tx.all_stock():
            hotel_id, _, night = stock.item.rpartition("@")
            item = {"hotel_id": hotel_id or stock.item, "night": night if hotel_id else None}
            rows.append(inventory_row(item, "rooms", self.capacity(tx, stock.capacity, ROOMS), stock.taken))
        return rows


def _item(hotel_id: str, night: dt.date) -> str:
    return f"{hotel_id}@{night.isoformat()}"
