"""Books a seat, and cancels it when the workflow is rolled back."""

from datetime import timedelta
from typing import Any

from apex.adapters.keyed_service import KeyedService
from apex.app.step_handler import serve
from apex.tools import Call, Effect, Input, Lane, Output, Probe, UndoOfAbsent, tool

bookings = KeyedService("flights", "bookings", undo="cancel", applied="booked")


class Order(Input):
    flight_id: str
    passenger: str


class Booking(Output):
    booking_id: str
    flight_id: str
    arrival_date: str


@tool(
    description="Book a seat on a flight that search_flights found.",
    examples=("Book a flight to Paris tomorrow", "Book a flight to Tokyo on Monday for Ana Ruiz"),
    lane=Lane.YELLOW,
    effect=Effect.REVERSIBLE,
    undo_of_absent=UndoOfAbsent.FENCES,
    settles_within=timedelta(seconds=5),
    idempotency_window=timedelta(hours=24),
    service="flights",
)
def book_flight(order: Order, call: Call) -> Booking:
    return booking(bookings.apply(call, order.model_dump()))


@book_flight.undo
def cancel_flight(order: Order, booked: Booking | None, call: Call) -> None:
    bookings.undo(call)


@book_flight.probe
def find_booking(order: Order, call: Call) -> Probe[Booking]:
    found = bookings.find(call)
    if found is None:
        return Probe.not_seen()
    booked, answer = found
    return Probe.applied(booking(answer)) if booked else Probe.never()


def booking(answer: dict[str, Any]) -> Booking:
    """What the airline answers, as far as later steps need it."""
    return Booking(
        booking_id=answer["booking_id"], flight_id=answer["flight_id"], arrival_date=answer["arrives_at"][:10]
    )


handler = serve(book_flight)
