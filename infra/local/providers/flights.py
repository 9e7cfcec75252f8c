"""Flights: a few a day to every city, with the same ids, times and prices each time one asks."""

import contextlib
import datetime as dt
from dataclasses import dataclass

from infra.local.providers import fields
from infra.local.providers.messages import Answer, Json, Refusal, Request
from infra.local.providers.provider import Effect, Provider, Route, Words, inventory_row, new_id
from infra.local.providers.store import Record, Transaction

SEATS = 180
CURRENCY = "USD"
_AIRLINES = (
    ("AN", "Aero Nord"),
    ("BL", "Blue Line"),
    ("CO", "Continental Overland"),
    ("MV", "Meridian Voyages"),
)


@dataclass(frozen=True)
class Flight:
    """One departure; ``price`` in cents. The id holds city and date, so no list of flights has to be kept."""

    flight_id: str
    airline: str
    destination: str
    date: dt.date
    departs_at: dt.datetime
    arrives_at: dt.datetime
    price: int

    def to_json(self, seats_left: int) -> Json:
        """The flight as a search shows it."""
        return {
            "flight_id": self.flight_id,
            "airline": self.airline,
            "destination": self.destination,
            "date": self.date.isoformat(),
            "departs_at": self.departs_at.isoformat(timespec="minutes"),
            "arrives_at": self.arrives_at.isoformat(timespec="minutes"),
            "price": fields.money(self.price),
            "currency": CURRENCY,
            "seats_left": seats_left,
        }


def timetable(city: str, day: dt.date) -> list[Flight]:
    """The flights to a city on a day, cheapest first. No city starts with a small letter."""
    if city[:1].islower():
        return []
    slug = "-".join(city.casefold().split())
    minutes = fields.pick(75, 660, "duration", slug)
    flights = []
    for turn in range(fields.pick(3, 4, "flights", slug, day.isoformat())):
        about = (slug, day.isoformat(), str(turn))
        code, airline = _AIRLINES[turn]
        leaves = dt.datetime.combine(day, dt.time(6 + 4 * turn)) + dt.timedelta(
            minutes=5 * fields.pick(0, 23, "leaves", *about)
        )
        flights.append(
            Flight(
                flight_id=f"{slug}:{day.isoformat()}:{code}{fields.pick(100, 999, 'number', *about)}",
                airline=airline,
                destination=city,
                date=day,
                departs_at=leaves,
                arrives_at=leaves + dt.timedelta(minutes=minutes),
                price=minutes * fields.pick(55, 110, "price", *about),
            )
        )
    return sorted(flights, key=lambda flight: flight.price)


def find_flight(flight_id: str) -> Flight:
    """The flight with that id. Raises ``Refusal`` 404 when there is none."""
    slug, _, rest = flight_id.rpartition(":")[0].rpartition(":")
    city = slug.replace("-", " ").title()
    with contextlib.suppress(Refusal):
        for flight in timetable(city, fields.date({"date": rest}, "date")):
            if flight.flight_id == flight_id:
                return flight
    raise Refusal(404, "no_such_flight", "there is no flight with that id")


class Flights(Provider):
    """GET /flights, POST /bookings, and bookings by key."""

    name = "flights"
    words = Words("bookings", apply="book", undo="cancel", applied="booked", undone="cancelled", searches=("search",))

    def routes(self) -> tuple[Route, ...]:
        """Searching, and setting the number of seats."""
        return (
            Route("GET", "/flights", self._search, "search"),
            Route("POST", "/inventory", self._set_seats),
        )

    def _search(self, request: Request) -> Answer:
        fields.only(request.query, "destination", "date")
        flights = timetable(fields.text(request.query, "destination"), fields.date(request.query, "date"))
        with self.store.transaction() as tx:
            found = [flight.to_json(self.free(tx, flight.flight_id, SEATS)) for flight in flights]
        return Answer(200, {"flights": found})

    def _set_seats(self, request: Request) -> Answer:
        fields.only(request.body, "flight_id", "seats")
        flight_id = fields.optional_text(request.body, "flight_id")
        seats = fields.whole(request.body, "seats", least=0, most=1_000_000_000)
        if flight_id is not None:
            find_flight(flight_id)
        self.set_capacity(flight_id, seats)
        return Answer(200, {"flight_id": flight_id, "seats": seats})

    def parse(self, body: Json) -> Json:
        """Reads ``{flight_id, passenger}``."""
        fields.only(body, "flight_id", "passenger")
        return {"flight_id": fields.text(body, "flight_id"), "passenger": fields.text(body, "passenger")}

    def perform(self, tx: Transaction, request: Json) -> Effect:
        """Takes one seat; 409 ``sold_out`` when none is left, 404 ``no_such_flight``."""
        flight = find_flight(request["flight_id"])
        left = self.free(tx, flight.flight_id, SEATS)
        if left <= 0:
            raise self.declined()
        booking = {
            "booking_id": new_id("BK"),
            "status": self.words.applied,
            "passenger": request["passenger"],
        }
        details = flight.to_json(left - 1)
        del details["seats_left"]
        return Effect({**booking, **details}, ledger=request, holdings={flight.flight_id: 1})

    def undone(self, record: Record) -> Json:
        """Names the booking that was cancelled."""
        return {"booking_id": record.answer["booking_id"], "status": self.words.undone}

    def declined(self) -> Refusal:
        """No seat is left."""
        return Refusal(409, "sold_out", "no seat is left on this flight")

    def inventory(self, tx: Transaction) -> list[Json]:
        """Flights with their seats."""
        return [
            inventory_row({"flight_id": stock.item}, "seats", self.capacity(tx, stock.capacity, SEATS), stock.taken)
            for stock in tx.all_stock()
        ]
