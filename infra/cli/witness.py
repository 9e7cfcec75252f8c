"""Asking the providers themselves what happened: their ledgers and inventories, over their own HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apex.adapters.services import ServiceClient
from apex.schema.ids import effect_key

Inventories = Mapping[str, list[dict[str, Any]]]
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Booked:
    """One line of a provider's ledger: ``kind`` is ``apply`` or ``undo``."""

    provider: str
    seq: int
    key: str
    kind: str
    what: dict[str, Any]
    at: str


class Witness:
    """The providers seen from outside; ``urls`` by name."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._clients = {name: ServiceClient(name, url) for name, url in urls.items()}

    def inventories(self) -> Inventories:
        """What each provider has sold or lent, by provider."""
        return {name: self._ask(name, "/inventory")["items"] for name in self._clients}

    def ledger_of(self, workflow_id: str, steps: Mapping[str, str]) -> list[Booked]:
        """What the providers did for a workflow, in the order of their clocks; ``steps`` maps step ids to tools."""
        keys = {effect_key(workflow_id, step_id, "run") for step_id in steps}
        booked = [
            Booked(name, entry["seq"], entry["key"], entry["kind"], entry["what"], entry["at"])
            for name in self._clients
            for entry in self._ask(name, "/ledger")["entries"]
            if entry["key"] in keys
        ]
        return sorted(booked, key=lambda entry: (entry.at, entry.provider, entry.seq))

    def order_fault(self, provider: str, fault: Mapping[str, Any]) -> None:
        """Have something go wrong at a provider."""
        self._clients[provider].request("POST", "/faults", body=fault, deadline_seconds=_PATIENCE_SECONDS)

    def faults_fired(self, provider: str) -> int:
        """How often faults struck there since it was started."""
        return sum(fault["fired"] for fault in self._ask(provider, "/faults")["faults"])

    def reset(self, provider: str) -> None:
        """Have a provider forget everything."""
        self._clients[provider].request("POST", "/reset", body={}, deadline_seconds=_PATIENCE_SECONDS)

    def _ask(self, provider: str, path: str) -> dict[str, Any]:
        return self._clients[provider].request("GET", path, deadline_seconds=_PATIENCE_SECONDS)
