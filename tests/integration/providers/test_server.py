"""HTTP itself: connections stay open, every error is JSON, and half a request is no request."""

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.integration.providers.world import CHARGE, Provider


def open_connection(provider: Provider) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(provider.url).netloc, timeout=15)


def exchange(provider: Provider, raw: bytes) -> bytes:
    """Sends raw bytes, ends the sending side, and returns everything that comes back."""
    parts = urlsplit(provider.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=15) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_connection_serves_many_requests_errors_included(payments: Provider) -> None:
    connection = open_connection(payments)
    local_ports = set()
    for path, status in [("/health", 200), ("/nowhere", 404), ("/charges/by-key/k1", 404), ("/health", 200)]:
        connection.request("GET", path)
        assert connection.sock is not None
        local_ports.add(connection.sock.getsockname()[1])
        response = connection.getresponse()
        assert response.status == status
        assert response.headers["Content-Type"] == "application/json"
        json.loads(response.read())
    assert len(local_ports) == 1
    connection.close()


def test_the_body_of_a_refused_request_is_not_taken_for_the_next_one(payments: Provider) -> None:
    connection = open_connection(payments)
    for path in ("/nowhere", "/charges"):
        connection.request("POST", path, body=json.dumps(CHARGE))
        assert connection.getresponse().read()
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("body", ["", "[]", "null", '"text"', "{", "\xff", "[" * 60_000])
def test_a_body_that_is_no_json_object_is_a_bad_request(payments: Provider, body: str) -> None:
    connection = open_connection(payments)
    connection.request("POST", "/charges", body=body.encode("latin-1"), headers={"Idempotency-Key": "k1"})
    response = connection.getresponse()
    assert response.status == (422 if body == "" else 400)
    assert set(json.loads(response.read())) >= {"code", "message"}
    connection.close()


def test_a_huge_body_is_refused_unread(payments: Provider) -> None:
    answer = exchange(payments, b"POST /charges HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in answer


def test_a_chunked_body_is_asked_for_with_a_length(payments: Provider) -> None:
    answer = exchange(payments, b"POST /charges HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 411 ")


def test_a_request_broken_off_in_the_middle_is_not_carried_out(payments: Provider) -> None:
    head = "POST /charges/by-key/k1/refund HTTP/1.1\r\nHost: x\r\nIdempotency-Key: u1\r\nContent-Length: 2\r\n\r\n"
    assert exchange(payments, head.encode()) == b""
    assert payments.call("GET", "/charges/by-key/k1").status == 404  # no tombstone was left


def test_nonsense_instead_of_http_is_answered_in_json(payments: Provider) -> None:
    assert b'"bad_request"' in exchange(payments, b"how do you do\r\n\r\n")


def test_many_connections_at_once(payments: Provider) -> None:
    def health(_: int) -> int:
        connection = open_connection(payments)
        connection.request("GET", "/health")
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(32) as threads:
        assert set(threads.map(health, range(200))) == {200}
