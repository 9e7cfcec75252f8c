"""Trouble made from outside: invocations that are interfered with, executions that are stopped, time that moves on."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from apex.adapters.clock import SystemClock

Proceed = Callable[[dict[str, Any]], Any]
Around = Callable[[str, dict[str, Any], Proceed], Any]


class Interference:
    """What the local cloud asks before each invocation of a function; does nothing until a test adds something."""

    def __init__(self) -> None:
        self._added: list[Around] = []

    def __call__(self, function: str, event: dict[str, Any], proceed: Proceed) -> Any:
        return self._through(list(self._added), function, event, proceed)

    def _through(self, left: list[Around], function: str, event: dict[str, Any], proceed: Proceed) -> Any:
        if not left:
            return proceed(event)
        return left[0](function, event, lambda changed: self._through(left[1:], function, changed, proceed))

    def add(self, around: Around) -> None:
        """Pass every invocation through ``around`` until the end of the test."""
        self._added.append(around)

    def clear(self) -> None:
        """Interfere no more."""
        self._added.clear()


class Counted:
    """Counts the finished invocations of a function."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.count = 0

    def __call__(self, called: str, event: dict[str, Any], proceed: Proceed) -> Any:
        answer = self.answer(called, event, proceed)
        self.count += called == self.function
        return answer

    def answer(self, called: str, event: dict[str, Any], proceed: Proceed) -> Any:
        """What the invocation answers."""
        return proceed(event)


class Silenced(Counted):
    """Answers in a function's place, as if it had found nothing to do."""

    def answer(self, called: str, event: dict[str, Any], proceed: Proceed) -> Any:
        return {} if called == self.function else proceed(event)


When = Literal["before", "instead", "after"]


class Once:
    """Does something the first time that a function is called for ``action`` (of tools: run, undo): before or after it
    does its work, or instead."""

    def __init__(self, function: str, do: Callable[[dict[str, Any]], None], when: When, action: str | None) -> None:
        self._function, self._do, self._when, self._action = function, do, when, action
        self._lock = threading.Lock()
        self.fired = False

    def __call__(self, called: str, event: dict[str, Any], proceed: Proceed) -> Any:
        with self._lock:
            mine = called == self._function and event.get("action") == self._action and not self.fired
            self.fired = self.fired or mine
        if not mine:
            return proceed(event)
        if self._when != "after":
            self._do(event)
        try:
            return {} if self._when == "instead" else proceed(event)
        finally:
            if self._when == "after":
                self._do(event)


class Clockwork:
    """Moves the time that everything in this process reads from ``SystemClock``. Deadlines of functions stay."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = timedelta(0)
        monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + self._ahead)

    def advance(self, by: timedelta) -> None:
        """From now on it is that much later."""
        self._ahead += by
