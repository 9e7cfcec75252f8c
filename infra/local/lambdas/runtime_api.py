"""The Lambda Runtime API (version 2018-06-01) on a loopback port, for one sandbox.

AWS's own runtime client in the child process asks here for its next event, and posts its results and errors here.
"""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import Any, cast
from urllib.parse import urlsplit

from infra.local.lambdas import Answer

_PREFIX = "/2018-06-01/runtime"


class RuntimeApi:
    """Hands events to one runtime process and collects what it answers."""

    def __init__(self) -> None:
        self._events: SimpleQueue[tuple[bytes, Mapping[str, str]]] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self.ready = threading.Event()
        """Set once the runtime has loaded the handler and asks for events."""
        self._server = _Server(("127.0.0.1", 0), _Requests)
        self._server.api = self
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port, as the runtime expects it in AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def offer(self, payload: str, headers: Mapping[str, str]) -> None:
        """Let the runtime's next request for an event return this one."""
        self._events.put((payload.encode(), headers))

    def wait(self, seconds: float) -> Answer | None:
        """The next answer of the runtime; None when none came in time. A failed initialisation is an answer too."""
        try:
            return self._answers.get(timeout=seconds) if seconds > 0 else self._answers.get_nowait()
        except Empty:
            return None

    def take_event(self) -> tuple[bytes, Mapping[str, str]]:
        """The next event for the runtime; waits until there is one."""
        self.ready.set()
        return self._events.get()

    def take_answer(self, answer: Answer) -> None:
        """Record what the runtime posted. A sandbox has one invocation at a time, so it belongs to that one."""
        self._answers.put(answer)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    api: RuntimeApi


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One write per response: with Nagle's algorithm two small writes cost 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True

    @property
    def _api(self) -> RuntimeApi:
        return cast(_Server, self.server).api

    def do_GET(self) -> None:
        if urlsplit(self.path).path != f"{_PREFIX}/invocation/next":
            self._respond(404, b"{}")
            return
        payload, headers = self._api.take_event()
        self._respond(200, payload, headers)

    def do_POST(self) -> None:
        body = self._body().decode("utf-8", errors="replace")
        parts = urlsplit(self.path).path.removeprefix(f"{_PREFIX}/").split("/")
        # Recorded before it is acknowledged: the process may exit as soon as it has the acknowledgement.
        match parts:
            case ["invocation", _, "response"]:
                self._api.take_answer(Answer(body))
            case ["invocation", _, "error"] | ["init", "error"]:
                self._api.take_answer(Answer(body, failed=True))
            case _:
                self._respond(404, b"{}")
                return
        self._respond(202, b'{"status":"OK"}')

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a request per invocation is not news."""

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0].strip() or b"0", 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _respond(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        # Without a content type the runtime client fails on the event.
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
