"""Calling an outside service over HTTP so that every failure says what is known about the effect.

What decides is how far the request got: never sent, answered, or sent and not answered. Nothing is retried
here, because only the step runtime knows whether a second call is safe.

=======================================================  ======================
what happened                                            raised
=======================================================  ======================
no connection; deadline over before sending; 429; 503    ``ToolRetryable``
4xx with a ``code`` of the service                       ``ToolRejected``
timeout or reset after sending; 5xx; an answer that is   ``ToolOutcomeUnknown``
not the service's JSON (also of a proxy in between)
=======================================================  ======================

A GET changes nothing, so where another method would be unknown a GET is retryable.
"""

import contextlib
import datetime as dt
import email.utils
import functools
import json
import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from apex.errors import InvalidInput, ToolError, ToolOutcomeUnknown, ToolRejected, ToolRetryable

IDEMPOTENCY_HEADER = "Idempotency-Key"
LARGEST_ANSWER = 5 * 1024 * 1024
CONNECT_SECONDS = 3.0
_LONGEST_MESSAGE = 300


@functools.cache
def shared_pool() -> urllib3.PoolManager:
    """The process-wide connection pool: connections stay open between calls and between services."""
    return urllib3.PoolManager(num_pools=16, maxsize=64, retries=False)


class ServiceClient:
    """One outside service. Instances are cheap, keep no state of their own and may be shared by threads."""

    def __init__(self, name: str, base_url: str, pool: urllib3.PoolManager | None = None) -> None:
        """``base_url`` without a query; raises ``InvalidInput`` when it is not an http(s) URL."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise InvalidInput(f"the base URL of the service {name} must be an http or https URL")
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._pool = pool if pool is not None else shared_pool()

    @classmethod
    def from_environment(cls, name: str, environment: Mapping[str, str] | None = None) -> "ServiceClient":
        """The service at ``APEX_SERVICE_<NAME>_URL``; raises ``InvalidInput`` when that is not set."""
        variable = f"APEX_SERVICE_{name.upper()}_URL"
        base_url = (os.environ if environment is None else environment).get(variable)
        if not base_url:
            raise InvalidInput(f"the service {name} is not configured: set {variable}")
        return cls(name, base_url)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
        deadline_seconds: float,
    ) -> dict[str, Any]:
        """Sends one request and returns the JSON object of a 2xx answer.

        ``path`` starts with a slash; put keys into it with ``segment``. ``key`` becomes the Idempotency-Key
        header. ``deadline_seconds`` bounds connecting, sending and the answer together.

        Raises ``ToolRejected``, ``ToolRetryable`` (with ``retry_after`` in seconds, if the service named it)
        or ``ToolOutcomeUnknown``. Their ``details`` hold ``service`` and, where there was an answer, ``status``,
        ``reason`` (the service's code) and ``answer`` (its JSON).
        """
        what = f"{self.name} {method} {path}"
        ends = time.monotonic() + deadline_seconds
        content = None if body is None else json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
        if deadline_seconds <= 0:
            raise ToolRetryable(f"{what}: no time was left to send it", service=self.name)
        url = self._base_url + path + (f"?{urlencode(query)}" if query else "")
        try:
            response = self._pool.request(
                method,
                url,
                body=content,
                headers=_headers(content, key),
                timeout=urllib3.Timeout(connect=min(deadline_seconds, CONNECT_SECONDS), total=deadline_seconds),
                redirect=False,
                retries=False,
                preload_content=False,
            )
            raw = _read(response, ends)
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise ToolRetryable(f"{what}: no connection ({type(error).__name__})", service=self.name) from error
        except (HTTPError, OSError) as error:
            raise self._open(method, f"{what}: no answer ({type(error).__name__})") from error
        return self._judge(method, what, response, raw)

    def _judge(self, method: str, what: str, response: urllib3.BaseHTTPResponse, raw: bytes) -> dict[str, Any]:
        status, answer = response.status, _json_object(raw)
        if 200 <= status < 300:
            if answer is None:
                raise self._open(
                    method, f"{what}: answered {status} with something that is not its JSON", status=status
                )
            return answer
        code = answer.get("code") if answer else None
        reason = code if isinstance(code, str) else None
        said = f"{what}: answered {status}" + (f" {reason}" if reason else "")
        if answer and isinstance(answer.get("message"), str):
            said += f", {answer['message'][:_LONGEST_MESSAGE]}"
        details: dict[str, Any] = {"status": status, "reason": reason, "answer": answer}
        if status in (429, 503):
            wait = _seconds(response.headers.get("Retry-After"))
            raise ToolRetryable(said, retry_after=wait, service=self.name, **details)
        if 400 <= status < 500 and reason is not None:
            raise ToolRejected(said, service=self.name, **details)
        raise self._open(method, said, **details)

    def _open(self, method: str, message: str, **details: Any) -> ToolError:
        if method == "GET":
            return ToolRetryable(message, service=self.name, **details)
        return ToolOutcomeUnknown(message, service=self.name, **details)


def segment(value: str) -> str:
    """``value`` as one part of a path, whatever characters it holds."""
    return quote(value, safe="")


def _headers(content: bytes | None, key: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if content is not None:
        headers["Content-Type"] = "application/json"
    if key is not None:
        headers[IDEMPOTENCY_HEADER] = key
    return headers


def _read(response: urllib3.BaseHTTPResponse, ends: float) -> bytes:
    """The whole body. Raises ``HTTPError`` when it is too large or trickles in past the deadline.

    A socket's timeout starts anew with each piece, so the deadline is checked between the pieces.
    """
    pieces: list[bytes] = []
    size = 0
    # Read to its end, the connection goes back to the pool; left half-read, closing drops it.
    with contextlib.closing(response):
        while piece := response.read1(65536):
            size += len(piece)
            if size > LARGEST_ANSWER:
                raise HTTPError("the answer is too large")
            if time.monotonic() > ends:
                raise HTTPError("the answer did not end in time")
            pieces.append(piece)
    return b"".join(pieces)


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds, from either of its two forms; None when it is absent or makes no sense."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after)
    try:
        at = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    return max(0.0, (at - dt.datetime.now(dt.UTC)).total_seconds())
