"""What can be made to go wrong at a provider, ordered over HTTP and counted, so that a test sees that it did.

A fault strikes the request itself, before keys and stock are looked at:

* ``drop_reply``    the request is carried out, then the connection is closed without an answer;
* ``late_apply``    the connection is closed at once and the request carried out ``seconds`` later;
* ``slow``          the request is carried out and answered ``seconds`` later;
* ``error_before``  500, nothing carried out;
* ``unavailable``   503 (with Retry-After when ``seconds`` is given), nothing carried out;
* ``decline``       the provider's business refusal, nothing carried out and nothing remembered under the key.
"""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from infra.local.providers import fields
from infra.local.providers.messages import Answer, HangUp, Json, Refusal, Request

MODES = ("drop_reply", "late_apply", "slow", "error_before", "unavailable", "decline")
_TIMED = ("late_apply", "slow")
LONGEST_SECONDS = 600

Act = Callable[[], Answer]


@dataclass
class Fault:
    """One order for trouble; ``times`` None means until the faults are cleared."""

    id: int
    operation: str
    mode: str
    times: int | None = 1
    seconds: float | None = None
    match: Json = field(default_factory=dict)
    fired: int = 0

    def strikes(self, operation: str, facts: Json) -> bool:
        """Whether a request with these facts is to suffer it; counts nothing."""
        if operation != self.operation or (self.times is not None and self.fired >= self.times):
            return False
        return all(name in facts and facts[name] == value for name, value in self.match.items())

    def to_json(self) -> Json:
        """The order and how often it fired, as ``GET /faults`` tells."""
        return {
            "id": self.id,
            "operation": self.operation,
            "mode": self.mode,
            "times": self.times,
            "seconds": self.seconds,
            "match": self.match,
            "fired": self.fired,
        }


def facts_of(request: Request) -> Json:
    """What ``match`` can name: fields of body and query, ``key`` (the run key), ``undo_key`` of an undo."""
    facts: dict[str, Any] = {**request.query, **request.body, **request.params}
    if "key" in request.params:
        facts["undo_key"] = request.key
    else:
        facts["key"] = request.key
    return facts


class Faults:
    """The faults ordered from one provider, and the requests it still holds back."""

    def __init__(self, operations: tuple[str, ...]) -> None:
        self._operations = operations
        self._lock = threading.Lock()
        self._ordered: list[Fault] = []
        self._last_id = 0
        self._waiting: set[threading.Timer] = set()
        self._cleared = threading.Event()

    def order(self, body: Json) -> Fault:
        """Adds ``{operation, mode, times?, seconds?, match?}``; raises ``Refusal`` 422 for anything unfit."""
        fields.only(body, "operation", "mode", "times", "seconds", "match")
        operation, mode = fields.text(body, "operation"), fields.text(body, "mode")
        if operation not in self._operations:
            raise Refusal(422, "unknown_operation", f"operation is one of {', '.join(self._operations)}")
        if mode not in MODES:
            raise Refusal(422, "unknown_mode", f"mode is one of {', '.join(MODES)}")
        seconds = None
        if mode in _TIMED or "seconds" in body:
            seconds = fields.number(body, "seconds", least=0, most=LONGEST_SECONDS)
        times = None
        if body.get("times", 1) is not None:
            times = fields.whole({"times": 1, **body}, "times", least=1, most=1_000_000)
        match = body.get("match") or {}
        if not isinstance(match, dict):
            raise Refusal(422, "invalid_request", "match must be an object", field="match")
        with self._lock:
            self._last_id += 1
            fault = Fault(self._last_id, operation, mode, times, seconds, match)
            self._ordered.append(fault)
        return fault

    def listed(self) -> list[Json]:
        """Every fault ordered since the last reset, used up or not."""
        with self._lock:
            return [fault.to_json() for fault in self._ordered]

    def clear(self) -> None:
        """Drops all faults; requests still held back are never carried out."""
        with self._lock:
            self._ordered.clear()
            for timer in self._waiting:
                timer.cancel()
            self._waiting.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def around(self, operation: str, request: Request, act: Act, decline: Refusal) -> Answer:
        """Carries out a request through the first fault that strikes it, if any.

        Raises ``HangUp`` when the caller gets no answer, ``Refusal`` when nothing was carried out.
        """
        with self._lock:
            facts = facts_of(request)
            fault = next((fault for fault in self._ordered if fault.strikes(operation, facts)), None)
            if fault is None:
                cleared = None
            else:
                fault.fired += 1
                cleared = self._cleared
        if fault is None or cleared is None:
            return act()
        return self._suffer(fault, act, decline, cleared)

    def _suffer(self, fault: Fault, act: Act, decline: Refusal, cleared: threading.Event) -> Answer:
        match fault.mode:
            case "drop_reply":
                with contextlib.suppress(Refusal):
                    act()
                raise HangUp
            case "late_apply":
                self._later(fault.seconds or 0, act)
                raise HangUp
            case "slow":
                if cleared.wait(fault.seconds):
                    raise HangUp
                return act()
            case "error_before":
                return Answer(
                    500,
                    {"code": "internal_error", "message": "something broke before the request was looked at"},
                )
            case "unavailable":
                headers = {} if fault.seconds is None else {"Retry-After": f"{fault.seconds:.0f}"}
                return Answer(503, {"code": "unavailable", "message": "the service is overloaded"}, headers)
            case _:
                raise decline

    def _later(self, seconds: float, act: Act) -> None:
        def land() -> None:
            with self._lock:
                expected = timer in self._waiting
                self._waiting.discard(timer)
            if expected:
                # Nobody is left to be told of a refusal; the ledger shows it by having no entry.
                with contextlib.suppress(Refusal):
                    act()

        timer = threading.Timer(seconds, land)
        timer.daemon = True
        with self._lock:
            self._waiting.add(timer)
        timer.start()
