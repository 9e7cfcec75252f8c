"""Looks up flights; changes nothing."""

from datetime import date

from apex.adapters.services import ServiceClient
from apex.app.step_handler import serve
from apex.tools import Call, Effect, Input, Lane, Output, ToolRejected, tool


class Search(Input):
    destination: str
    date: date


class Flight(Output):
    flight_id: str
    departs_at: str
    arrives_at: str
    arrival_date: str
    price: str
    currency: str


@tool(
    description="Find the cheapest flight with a free seat to a city on a day.",
    examples=("Find a flight to Paris tomorrow", "Find me a flight to London on Friday"),
    lane=Lane.GREEN,
    effect=Effect.NONE,
    service="flights",
)
def search_flights(search: Search, call: Call) -> Flight:
    client = ServiceClient("flights", call.service_url("flights"))
    query = {"destination": search.destination, "date": search.date.isoformat()}
    found = client.request("GET", "/flights", query=query, deadline_seconds=call.seconds_left)["flights"]
    free = [flight for flight in found if flight["seats_left"] > 0]
    if not free:
        raise ToolRejected(f"there is no flight with a free seat to {search.destination} on {search.date}")
    best = free[0]
    told = {name: best[name] for name in ("flight_id", "departs_at", "arrives_at", "price", "currency")}
    return Flight(**told, arrival_date=best["arrives_at"][:10])


handler = serve(search_flights)
