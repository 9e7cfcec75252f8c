"""One process of providers for all tests here, reset before each; tests talk to it over real HTTP."""

from collections.abc import Callable, Iterator

import pytest
import urllib3

from apex.adapters.services import ServiceClient
from infra.local.providers import Providers
from tests.integration.providers.world import CHARGE, PARIS, STAY, Provider, Trade


@pytest.fixture(scope="session")
def running() -> Iterator[Providers]:
    with Providers.start() as providers:
        yield providers


@pytest.fixture(scope="session")
def connect() -> Iterator[Callable[[str], Provider]]:
    with urllib3.PoolManager(maxsize=32, retries=False) as pool:
        yield lambda url: Provider(url, pool)


@pytest.fixture
def providers(running: Providers, connect: Callable[[str], Provider]) -> dict[str, Provider]:
    fresh = {name: connect(url) for name, url in running.urls.items()}
    for provider in fresh.values():
        provider.admin("/reset", {})
    return fresh


@pytest.fixture
def flights(providers: dict[str, Provider]) -> Provider:
    return providers["flights"]


@pytest.fixture
def hotels(providers: dict[str, Provider]) -> Provider:
    return providers["hotels"]


@pytest.fixture
def payments(providers: dict[str, Provider]) -> Provider:
    return providers["payments"]


@pytest.fixture(params=["flights", "hotels", "payments"])
def trade(request: pytest.FixtureRequest, flights: Provider) -> Trade:
    """Each of the three in turn."""
    if request.param == "flights":
        flight_id = flights.get("/flights", **PARIS)["flights"][0]["flight_id"]
        seat = {"flight_id": flight_id, "passenger": "Ada"}
        words = ("flights", "bookings", "book", "cancel", "booked", "cancelled", "refused")
        return Trade(*words, seat, {**seat, "passenger": "Grace"}, (409, "sold_out"))
    if request.param == "hotels":
        words = ("hotels", "reservations", "reserve", "cancel", "reserved", "cancelled", "refused")
        return Trade(*words, STAY, {**STAY, "nights": 3}, (409, "sold_out"))
    words = ("payments", "charges", "charge", "refund", "settled", "refunded", "declined")
    return Trade(*words, CHARGE, {**CHARGE, "amount": "900.01"}, (402, "card_declined"))


@pytest.fixture
def provider(trade: Trade, providers: dict[str, Provider]) -> Provider:
    """The provider that ``trade`` is about."""
    return providers[trade.name]


@pytest.fixture
def client(trade: Trade, provider: Provider) -> ServiceClient:
    return ServiceClient(trade.name, provider.url)
