"""What the tests here need: a provider as a caller sees it, and what is common to the three."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    status: int
    body: Json


class Provider:
    """One provider as a caller sees it, answers with their status and all."""

    def __init__(self, url: str, pool: urllib3.PoolManager) -> None:
        self.url = url
        self._pool = pool

    def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        headers = {} if key is None else {"Idempotency-Key": key}
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        response = self._pool.request(method, url, json=body, headers=headers, timeout=20.0)
        return Reply(response.status, response.json())

    def get(self, path: str, **query: str) -> Json:
        reply = self.call("GET", path, query=query)
        assert reply.status == 200, reply
        return reply.body

    def post(self, path: str, body: Json | None = None, *, key: str | None = None) -> Reply:
        return self.call("POST", path, body, key=key)

    def admin(self, path: str, body: Json) -> Json:
        reply = self.post(path, body)
        assert reply.status in (200, 201), reply
        return reply.body

    def inventory(self) -> list[Json]:
        items: list[Json] = self.get("/inventory")["items"]
        return items

    def ledger(self, key: str | None = None) -> list[Json]:
        entries: list[Json] = self.get("/ledger", **({} if key is None else {"key": key}))["entries"]
        return entries

    def kinds(self, key: str | None = None) -> list[str]:
        """What the ledger says happened under a key, in order."""
        return [entry["kind"] for entry in self.ledger(key)]

    def fault(self, operation: str, mode: str, **more: Any) -> None:
        self.admin("/faults", {"operation": operation, "mode": mode, **more})

    def fired(self) -> list[int]:
        return [fault["fired"] for fault in self.get("/faults")["faults"]]


@dataclass(frozen=True)
class Trade:
    """What the tests that hold for every provider need to know of one: its words and two different requests."""

    name: str
    collection: str
    apply: str
    undo: str
    applied: str
    undone: str
    refused: str
    request: Mapping[str, Any]
    other_request: Mapping[str, Any]
    refusal: tuple[int, str]

    def by_key(self, key: str) -> str:
        return f"/{self.collection}/by-key/{key}"

    def undo_path(self, key: str) -> str:
        return f"{self.by_key(key)}/{self.undo}"


PARIS = {"destination": "Paris", "date": "2030-05-17"}
STAY = {"near": "Eiffel Tower", "city": "Paris", "check_in": "2030-05-17", "nights": 2, "guest": "Ada"}
CHARGE = {"card": "card-on-file", "amount": "900.00", "currency": "USD"}
