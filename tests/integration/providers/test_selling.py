"""What flights and hotels sell: stable offers, and never more than there is."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.providers.world import PARIS, STAY, Provider


def cheapest(flights: Provider, city: str = "Paris") -> str:
    flight_id = flights.get("/flights", destination=city, date=PARIS["date"])["flights"][0]["flight_id"]
    assert isinstance(flight_id, str)
    return flight_id


@pytest.mark.parametrize("city", ["Paris", "London", "Rio de Janeiro", "Saint-Étienne", "O'Higgins", "東京", "A:B"])
def test_any_city_can_be_searched_and_booked(flights: Provider, city: str) -> None:
    offers = flights.get("/flights", destination=city, date=PARIS["date"])["flights"]
    assert len(offers) >= 3
    assert [float(offer["price"]) for offer in offers] == sorted(float(offer["price"]) for offer in offers)
    for number, offer in enumerate(offers):
        assert offer["departs_at"] < offer["arrives_at"]
        booked = flights.post("/bookings", {"flight_id": offer["flight_id"], "passenger": "Ada"}, key=f"k{number}")
        assert booked.status == 201
        assert booked.body["price"] == offer["price"]


def test_offers_are_the_same_in_every_process(flights: Provider) -> None:
    program = (
        "import datetime, json; from infra.local.providers.flights import timetable;"
        "print(json.dumps([f.to_json(180) for f in timetable('Paris', datetime.date(2030, 5, 17))]))"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert flights.call("GET", "/flights", query=PARIS).body == {"flights": json.loads(other.stdout)}


def test_no_city_no_flights(flights: Provider) -> None:
    assert flights.get("/flights", destination="the moon", date=PARIS["date"]) == {"flights": []}


@pytest.mark.parametrize("date", ["tomorrow", "2030-02-30", "20300517", "9999-12-31", ""])
def test_a_search_needs_a_real_date(flights: Provider, date: str) -> None:
    reply = flights.call("GET", "/flights", query={"destination": "Paris", "date": date})
    assert (reply.status, reply.body["field"]) == (422, "date")


@pytest.mark.parametrize("flight_id", ["paris:2030-05-17:XX000", "nonsense", "::", "paris:someday:AN100"])
def test_there_is_no_booking_a_flight_that_does_not_exist(flights: Provider, flight_id: str) -> None:
    reply = flights.post("/bookings", {"flight_id": flight_id, "passenger": "Ada"}, key="k1")
    assert (reply.status, reply.body["code"]) == (404, "no_such_flight")
    assert flights.ledger() == []


def test_a_booking_takes_a_seat_off_the_search(flights: Provider) -> None:
    flight_id = cheapest(flights)
    before = flights.get("/flights", **PARIS)["flights"][0]["seats_left"]
    flights.post("/bookings", {"flight_id": flight_id, "passenger": "Ada"}, key="k1")
    assert flights.get("/flights", **PARIS)["flights"][0]["seats_left"] == before - 1
    (row,) = flights.inventory()
    assert (row["flight_id"], row["taken"], row["left"]) == (flight_id, 1, before - 1)


def test_forty_race_for_seven_seats_and_seven_get_one(flights: Provider) -> None:
    flight_id = cheapest(flights)
    flights.admin("/inventory", {"flight_id": flight_id, "seats": 7})

    def book(number: int) -> int:
        return flights.post("/bookings", {"flight_id": flight_id, "passenger": "Ada"}, key=f"k{number}").status

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(book, range(40)))
    assert sorted(statuses) == [201] * 7 + [409] * 33
    assert len(flights.ledger()) == 7
    assert flights.inventory()[0]["left"] == 0


def test_a_cancelled_seat_is_sold_again(flights: Provider) -> None:
    seat = {"flight_id": cheapest(flights), "passenger": "Ada"}
    flights.admin("/inventory", {"flight_id": seat["flight_id"], "seats": 1})
    flights.post("/bookings", seat, key="k1")
    assert flights.post("/bookings", seat, key="k2").body["code"] == "sold_out"
    flights.post("/bookings/by-key/k1/cancel", {}, key="u1")
    assert flights.post("/bookings", seat, key="k3").status == 201


def test_a_reservation_says_where_when_and_how_much(hotels: Provider) -> None:
    reservation = hotels.post("/reservations", STAY, key="k1").body
    assert reservation["check_out"] == "2030-05-19"
    assert "Eiffel Tower" in reservation["hotel"]
    assert float(reservation["total"]) == 2 * float(reservation["price_per_night"])
    assert [row["night"] for row in hotels.inventory()] == ["2030-05-17", "2030-05-18"]


def test_a_city_alone_will_do(hotels: Provider) -> None:
    stay = {name: value for name, value in STAY.items() if name != "near"}
    assert "Paris" in hotels.post("/reservations", stay, key="k1").body["hotel"]


def test_a_full_house_sends_guests_next_door_and_then_nobody_has_a_room(hotels: Provider) -> None:
    hotels.admin("/inventory", {"rooms": 1})
    replies = [hotels.post("/reservations", STAY, key=f"k{number}") for number in range(4)]
    assert [reply.status for reply in replies] == [201, 201, 201, 409]
    assert len({reply.body["hotel_id"] for reply in replies[:3]}) == 3
    assert replies[3].body["code"] == "sold_out"


def test_one_full_night_spoils_a_stay(hotels: Provider) -> None:
    first = hotels.post("/reservations", STAY, key="k1").body
    hotels.admin("/inventory", {"hotel_id": first["hotel_id"], "night": "2030-05-18", "rooms": 1})
    second = hotels.post("/reservations", STAY, key="k2").body
    assert second["hotel_id"] != first["hotel_id"]
    one_night = hotels.post("/reservations", {**STAY, "nights": 1}, key="k3").body
    assert one_night["hotel_id"] == first["hotel_id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("nights", 0), ("nights", "2"), ("nights", True), ("nights", 61), ("check_in", "soon"), ("guest", " ")],
)
def test_an_unfit_reservation_is_refused_by_field(hotels: Provider, field: str, value: object) -> None:
    reply = hotels.post("/reservations", {**STAY, field: value}, key="k1")
    assert (reply.status, reply.body["field"]) == (422, field)
    assert hotels.ledger() == []
