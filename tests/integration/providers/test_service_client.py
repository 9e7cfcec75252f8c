"""The client: what each failure says about the effect, against real providers and against a server off the rails."""

import datetime as dt
import email.utils
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from apex.adapters.services import LARGEST_ANSWER, ServiceClient, segment
from apex.errors import InvalidInput, ToolError, ToolOutcomeUnknown, ToolRejected, ToolRetryable
from tests.integration.providers.world import CHARGE, PARIS, Provider, Trade

SECRET_KEY = "key-5e1f"
Script = Callable[[socket.socket], None]


@contextmanager
def scripted(script: Script) -> Iterator[ServiceClient]:
    """A service that reads one request on each connection and then does what the script says."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                try:
                    script(connection)
                except OSError:
                    continue  # the client had enough before the script was over

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    pool = urllib3.PoolManager(retries=False)
    try:
        yield ServiceClient("oddity", f"http://127.0.0.1:{listener.getsockname()[1]}", pool)
    finally:
        pool.clear()
        # Closing alone would leave the thread inside accept.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(15)


def saying(status: int, body: bytes = b"", *headers: str) -> Script:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers))
    return lambda connection: connection.sendall(head.encode() + b"\r\n" + body)


def say_nothing(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def send(client: ServiceClient, method: str = "POST", deadline_seconds: float = 15.0) -> dict[str, object]:
    body = None if method == "GET" else {"amount": "1.00"}
    return client.request(method, "/things", body=body, key=SECRET_KEY, deadline_seconds=deadline_seconds)


# ── with real providers ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_booking_from_search_to_cancellation(trade: Trade, client: ServiceClient) -> None:
    done = client.request("POST", f"/{trade.collection}", body=trade.request, key="k/1", deadline_seconds=15)
    assert done["status"] == trade.applied
    told = client.request("GET", trade.by_key(segment("k/1")), deadline_seconds=15)
    assert told["status"] == trade.applied
    undone = client.request("POST", trade.undo_path(segment("k/1")), body={}, key="u/1", deadline_seconds=15)
    assert undone["status"] == trade.undone


def test_a_query_is_encoded(flights: Provider) -> None:
    found = ServiceClient("flights", flights.url + "/").request(
        "GET", "/flights", query={**PARIS, "destination": "Saint-Étienne & Lyon"}, deadline_seconds=15
    )
    assert found["flights"][0]["destination"] == "Saint-Étienne & Lyon"


def test_a_refusal_is_surely_not_applied_and_tells_the_code(
    trade: Trade, provider: Provider, client: ServiceClient
) -> None:
    provider.fault(trade.apply, "decline")
    with pytest.raises(ToolRejected) as caught:
        client.request("POST", f"/{trade.collection}", body=trade.request, key="k1", deadline_seconds=15)
    assert (caught.value.details["status"], caught.value.details["reason"]) == trade.refusal
    assert caught.value.details["service"] == trade.name
    assert provider.ledger() == []


@pytest.mark.parametrize(
    ("fault", "expected", "effects"),
    [
        ({"mode": "unavailable", "seconds": 7}, ToolRetryable, 0),
        ({"mode": "error_before"}, ToolOutcomeUnknown, 0),
        ({"mode": "drop_reply"}, ToolOutcomeUnknown, 1),
    ],
)
def test_trouble_says_what_is_known_of_the_effect(
    trade: Trade,
    provider: Provider,
    client: ServiceClient,
    fault: dict[str, object],
    expected: type[ToolError],
    effects: int,
) -> None:
    provider.admin("/faults", {"operation": trade.apply, **fault})
    with pytest.raises(expected) as caught:
        client.request("POST", f"/{trade.collection}", body=trade.request, key="k1", deadline_seconds=15)
    assert getattr(caught.value, "retry_after", None) == fault.get("seconds")
    assert provider.fired() == [1]  # and not sent a second time
    assert len(provider.ledger()) == effects


def test_a_timeout_leaves_the_outcome_open_and_the_effect_may_land(payments: Provider) -> None:
    payments.fault("charge", "slow", seconds=0.6)
    with pytest.raises(ToolOutcomeUnknown):
        ServiceClient("payments", payments.url).request("POST", "/charges", body=CHARGE, key="k1", deadline_seconds=0.1)
    give_up = time.monotonic() + 15
    while payments.kinds() != ["apply"]:
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_reading_is_safe_to_repeat_whatever_goes_wrong(payments: Provider) -> None:
    client = ServiceClient("payments", payments.url)
    for mode in ("drop_reply", "error_before", "unavailable"):
        payments.fault("probe", mode)
        with pytest.raises(ToolRetryable):
            client.request("GET", "/charges/by-key/k1", deadline_seconds=15)
    with pytest.raises(ToolRejected) as caught:
        client.request("GET", "/charges/by-key/k1", deadline_seconds=15)
    assert caught.value.details["reason"] == "not_found"


def test_calls_share_a_connection(payments: Provider) -> None:
    pool = urllib3.PoolManager(retries=False)
    client = ServiceClient("payments", payments.url, pool)
    for number in range(5):
        client.request("POST", "/charges", body={**CHARGE, "amount": "1.00"}, key=f"k{number}", deadline_seconds=15)
        with pytest.raises(ToolRejected):
            client.request("GET", "/charges/by-key/none", deadline_seconds=15)
    assert pool.connection_from_url(payments.url).num_connections == 1
    pool.clear()


def test_a_connection_that_timed_out_is_not_used_again(payments: Provider) -> None:
    pool = urllib3.PoolManager(maxsize=1, retries=False)
    client = ServiceClient("payments", payments.url, pool)
    payments.fault("charge", "slow", seconds=0.4)
    with pytest.raises(ToolOutcomeUnknown):
        client.request("POST", "/charges", body=CHARGE, key="k1", deadline_seconds=0.1)
    assert client.request("GET", "/health", deadline_seconds=15) == {"status": "ok", "provider": "payments"}
    pool.clear()


def test_many_threads_share_a_client(payments: Provider) -> None:
    payments.admin("/cards", {"card": "gold", "limit": "9999.00"})
    client = ServiceClient("payments", payments.url)

    def charge(number: int) -> object:
        body = {"card": "gold", "amount": f"{number + 1}.00", "currency": "USD"}
        return client.request("POST", "/charges", body=body, key=f"k{number}", deadline_seconds=15)["amount"]

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(charge, range(60))) == [f"{number + 1}.00" for number in range(60)]


# ── with services off the rails ─────────────────────────────────────────────────────────────────────────────────


def test_nobody_listens_so_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ToolRetryable):
        send(ServiceClient("gone", f"http://127.0.0.1:{port}"))


def test_no_time_left_means_not_sent(payments: Provider) -> None:
    with pytest.raises(ToolRetryable):
        ServiceClient("payments", payments.url).request("POST", "/charges", body=CHARGE, key="k1", deadline_seconds=0)
    assert payments.ledger() == []


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(say_nothing, id="closes"),
        pytest.param(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le"), id="half a head"),
        pytest.param(
            lambda connection: connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"charge'),
            id="half a body",
        ),
        pytest.param(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n"), id="not HTTP"),
        pytest.param(saying(200, b"<html>welcome</html>"), id="no JSON"),
        pytest.param(saying(200, b"[]"), id="no object"),
        pytest.param(saying(200), id="empty"),
        pytest.param(saying(404, b"<html>no route in the proxy</html>"), id="404 without a code"),
        pytest.param(saying(400, b'{"code": 7}'), id="a code that is none"),
        pytest.param(saying(307, b"", "Location: http://127.0.0.1:1/elsewhere"), id="redirect"),
        pytest.param(saying(500, b'{"code": "boom"}'), id="500"),
        pytest.param(saying(502, b"bad gateway"), id="502"),
        pytest.param(saying(504, b"gateway timeout"), id="504"),
    ],
)
def test_whatever_is_not_the_services_own_word_leaves_the_outcome_open(script: Script) -> None:
    with scripted(script) as client:
        with pytest.raises(ToolOutcomeUnknown):
            send(client)
        with pytest.raises(ToolRetryable):
            send(client, "GET")


@settings(max_examples=60, deadline=None)
@given(status=st.integers(200, 599), code=st.sampled_from([None, "some_code"]))
def test_the_status_decides(status: int, code: str | None) -> None:
    expected: type[ToolError] | None
    if status in (429, 503):
        expected = ToolRetryable
    elif 400 <= status < 500 and code is not None:
        expected = ToolRejected
    elif status < 300 and status not in (204, 205):
        expected = None
    else:
        expected = ToolOutcomeUnknown
    body = b"" if status in (204, 304) else json.dumps({"code": code} if code else {}).encode()
    with scripted(saying(status, body)) as client:
        if expected is None or (status == 205 and body):
            assert send(client) == ({"code": code} if code else {})
        else:
            with pytest.raises(expected):
                send(client)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("Retry-After: 12", 12, 12),
        (f"Retry-After: {email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(hours=2))}", 6000, 7200),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ],
    ids=[
        "seconds",
        "a date to come",
        "a date gone by",
    ],  # names without the time: every test worker must collect the same
)
def test_retry_after_is_handed_on_in_seconds(header: str, least: float, most: float) -> None:
    with scripted(saying(429, b'{"code": "slow_down"}', header)) as client, pytest.raises(ToolRetryable) as caught:
        send(client)
    assert caught.value.retry_after is not None
    assert least <= caught.value.retry_after <= most


@pytest.mark.parametrize("header", ["Retry-After: soon", "Retry-After: -3", "X-Other: 1"])
def test_a_senseless_retry_after_is_none(header: str) -> None:
    with scripted(saying(503, b"", header)) as client, pytest.raises(ToolRetryable) as caught:
        send(client)
    assert caught.value.retry_after is None


def test_an_answer_that_trickles_is_cut_off_at_the_deadline() -> None:
    cut_off = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            for _ in range(300):
                connection.sendall(b" ")
                time.sleep(0.05)
        except OSError:
            cut_off.set()
            raise

    with scripted(trickle) as client:
        with pytest.raises(ToolOutcomeUnknown):
            send(client, deadline_seconds=0.5)
        assert cut_off.wait(15)


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(2 * LARGEST_ANSWER // 65536):
            connection.sendall(b" " * 65536)

    with scripted(flood) as client, pytest.raises(ToolOutcomeUnknown, match="no answer"):
        send(client)


@pytest.mark.parametrize("script", [saying(422, b'{"code": "no"}'), saying(500), say_nothing])
def test_no_message_holds_the_key_or_the_body(script: Script) -> None:
    with scripted(script) as client, pytest.raises(ToolError) as caught:
        send(client)
    everything = f"{caught.value} {caught.value.to_dict()}"
    assert "oddity POST /things" in everything
    assert SECRET_KEY not in everything
    assert "1.00" not in everything


def test_a_long_message_is_cut() -> None:
    body = json.dumps({"code": "no", "message": "x" * 10_000}).encode()
    with scripted(saying(400, body)) as client, pytest.raises(ToolRejected) as caught:
        send(client)
    assert len(caught.value.message) < 500


# ── being set up ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_base_url_comes_from_the_environment(payments: Provider) -> None:
    client = ServiceClient.from_environment("payments", {"APEX_SERVICE_PAYMENTS_URL": payments.url})
    assert client.request("GET", "/health", deadline_seconds=15)["status"] == "ok"


@pytest.mark.parametrize("environment", [{}, {"APEX_SERVICE_PAYMENTS_URL": ""}])
def test_a_missing_base_url_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="APEX_SERVICE_PAYMENTS_URL"):
        ServiceClient.from_environment("payments", environment)


@pytest.mark.parametrize("url", ["", "payments", "ftp://host", "file:///etc/passwd", "http://", "http://h/?q=1"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        ServiceClient("payments", url)
