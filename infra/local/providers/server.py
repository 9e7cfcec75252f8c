"""HTTP around a provider: JSON in, JSON out, HTTP/1.1 connections kept open, a thread for each connection.

Built on the standard library's handler because a fault must be able to close the connection in the middle
of an exchange, and because Werkzeug's own server closes it after every answer.
"""

import http.server
import json
import socket
import socketserver
import sys
import traceback
from typing import ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from infra.local.providers.messages import Answer, HangUp, Refusal, Request
from infra.local.providers.provider import Provider

LARGEST_BODY = 64 * 1024


class ProviderServer(socketserver.ThreadingTCPServer):
    """Serves one provider on loopback; port 0 takes a free one. ``serve_forever`` runs until ``shutdown``."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, provider: Provider, port: int = 0) -> None:
        self.provider = provider
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """The base URL, with the port that was taken."""
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def handle_error(self, *_: object) -> None:
        """A caller that goes away is no news; anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            traceback.print_exc()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: ProviderServer
    protocol_version = "HTTP/1.1"
    # Head and body of an answer leave as one packet, at once.
    wbufsize = -1
    disable_nagle_algorithm = True
    error_content_type = "application/json"
    error_message_format = json.dumps({"code": "bad_request", "message": "the request was not understood"})
    _KEY_HEADER: ClassVar[str] = "Idempotency-Key"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        try:
            answer = self._answer()
        except HangUp:
            self._hang_up()
            return
        self._send(answer)

    def _answer(self) -> Answer:
        try:
            # The body is read before anything else: what stayed unread would be taken for the next request.
            raw = self._read_body()
            return self.server.provider.handle(self._request(raw))
        except Refusal as refusal:
            return refusal.answer
        except HangUp:
            raise
        except Exception:  # noqa: BLE001 - a provider answers 500 to whatever went wrong in it
            traceback.print_exc()
            return Answer(500, {"code": "internal_error", "message": "the provider failed"})

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal()):
            self.close_connection = True
            raise Refusal(411, "length_required", "send the body with a Content-Length")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            raise Refusal(413, "too_large", f"a body has at most {LARGEST_BODY} bytes")
        raw = self.rfile.read(int(length))
        if len(raw) < int(length):
            # The caller broke off in the middle; half a request is not carried out.
            raise HangUp
        return raw

    def _request(self, raw: bytes) -> Request:
        try:
            body = json.loads(raw) if raw else {}
        except (ValueError, RecursionError):
            raise Refusal(400, "bad_json", "the body is not JSON") from None
        if not isinstance(body, dict):
            raise Refusal(400, "bad_json", "the body must be a JSON object")
        target = urlsplit(self.path)
        # Split before unquoting, so that a slash inside a key stays inside it.
        parts = tuple(unquote(part) for part in target.path.strip("/").split("/"))
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        return Request(self.command, parts, query, body, self.headers.get(self._KEY_HEADER))

    def _send(self, answer: Answer) -> None:
        content = json.dumps(answer.body, separators=(",", ":")).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: what happened is in the ledger and in the counts of the faults."""
