"""Reserves a room, and cancels it when the workflow is rolled back."""

from datetime import date, timedelta
from typing import Any

from pydantic import Field

from apex.adapters.keyed_service import KeyedService
from apex.app.step_handler import serve
from apex.tools import Call, Effect, Input, Lane, Output, Probe, UndoOfAbsent, tool

reservations = KeyedService("hotels", "reservations", undo="cancel", applied="reserved")


class Stay(Input):
    near: str
    city: str | None = None
    check_in: date
    nights: int = Field(default=1, ge=1, le=30)
    guest: str


class Reservation(Output):
    reservation_id: str
    hotel: str
    check_in: str
    total: str
    currency: str


@tool(
    description="Reserve a room in the cheapest hotel near a place.",
    examples=(
        "Reserve a hotel near the Eiffel Tower tomorrow",
        "Reserve a hotel near Hyde Park on Friday for 2 nights",
    ),
    lane=Lane.YELLOW,
    effect=Effect.REVERSIBLE,
    undo_of_absent=UndoOfAbsent.FENCES,
    settles_within=timedelta(seconds=5),
    idempotency_window=timedelta(hours=24),
    service="hotels",
)
def reserve_hotel(stay: Stay, call: Call) -> Reservation:
    return reservation(reservations.apply(call, stay.model_dump(mode="json", exclude_none=True)))


@reserve_hotel.undo
def cancel_hotel(stay: Stay, reserved: Reservation | None, call: Call) -> None:
    reservations.undo(call)


@reserve_hotel.probe
def find_reservation(stay: Stay, call: Call) -> Probe[Reservation]:
    found = reservations.find(call)
    if found is None:
        return Probe.not_seen()
    reserved, answer = found
    return Probe.applied(reservation(answer)) if reserved else Probe.never()


def reservation(answer: dict[str, Any]) -> Reservation:
    """What the hotel answers, as far as later steps need it."""
    return Reservation(**{name: answer[name] for name in Reservation.model_fields})


handler = serve(reserve_hotel)
