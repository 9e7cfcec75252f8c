"""A provider that keeps what it did under the caller's idempotency key: apply, probe and undo by key."""

from collections.abc import Mapping
from typing import Any, Protocol

from apex.adapters.services import ServiceClient, segment
from apex.errors import ToolRejected


class KeyedCall(Protocol):
    """What is needed of a tool's call."""

    key: str
    run_key: str

    @property
    def seconds_left(self) -> float:
        """Seconds until the tool must have answered."""
        ...

    def service_url(self, service: str) -> str:
        """Address of an outside service."""
        ...


class KeyedService:
    """One collection of such a provider, e.g. the bookings of ``flights``, undone by ``cancel``."""

    def __init__(self, service: str, collection: str, *, undo: str, applied: str) -> None:
        self._service = service
        self._collection = collection
        self._undo = undo
        self._applied = applied

    def apply(self, call: KeyedCall, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for the effect; the provider's answer. Raises the tool errors of ``ServiceClient``."""
        return self._request(call, "POST", f"/{self._collection}", body=body, key=call.key)

    def undo(self, call: KeyedCall) -> None:
        """Take the effect back. Where there was none the provider now refuses the key for good, which is as good as
        undone."""
        try:
            self._request(call, "POST", f"{self._by_key(call)}/{self._undo}", body={}, key=call.key)
        except ToolRejected as error:
            if not _has_not_seen(error):
                raise

    def find(self, call: KeyedCall) -> tuple[bool, dict[str, Any]] | None:
        """Whether the effect exists, and what the provider tells of it; None where it has not seen the key.

        A key that was refused, undone or revoked has no effect and will have none: the provider repeats that answer
        for as long as it remembers the key, which is far longer than a request can be under way.
        """
        try:
            answer = self._request(call, "GET", self._by_key(call))
        except ToolRejected as error:
            if _has_not_seen(error):
                return None
            raise
        return answer.get("status") == self._applied, answer

    def _by_key(self, call: KeyedCall) -> str:
        return f"/{self._collection}/by-key/{segment(call.run_key)}"

    def _request(self, call: KeyedCall, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        client = ServiceClient(self._service, call.service_url(self._service))
        return client.request(method, path, deadline_seconds=call.seconds_left, **kwargs)


def _has_not_seen(error: ToolRejected) -> bool:
    """The provider says so itself; any other 404, such as that of a wrong address, says nothing about the effect."""
    return error.details.get("status") == 404 and error.details.get("reason") == "not_found"
