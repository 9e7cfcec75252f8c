"""What handlers print: kept apart from what the program around them prints, as CloudWatch Logs would keep it."""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

_KEPT_LINES = 10_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a function printed."""

    function: str
    text: str


class LogBook:
    """The last lines of all functions, in the order they were printed; ``listener`` gets each as it comes."""

    def __init__(self, listener: Callable[[LogLine], None] | None = None) -> None:
        self._lines: deque[LogLine] = deque(maxlen=_KEPT_LINES)
        self._listener = listener

    def add(self, function: str, text: str) -> None:
        """Record one line, without its line end."""
        line = LogLine(function, text)
        self._lines.append(line)
        if self._listener is not None:
            self._listener(line)

    def lines(self, function: str | None = None) -> list[LogLine]:
        """What was printed, by one function or by all."""
        return [line for line in self._lines.copy() if function in (None, line.function)]


class _Page:
    """Collects what one invocation prints and hands it on line by line."""

    def __init__(self, book: LogBook, function: str) -> None:
        self._book, self._function = book, function
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._book.add(self._function, line)
        return len(text)

    def flush(self) -> None:
        """Nothing waits for a flush; a line is handed on when it is complete."""

    def close(self) -> None:
        if self._rest:
            self.write("\n")


class _Current(threading.local):
    page: _Page | None = None


class _Router:
    """Stands in for ``sys.stdout``: what a handler prints goes to its page, anything else where it always went.

    There is one for the life of the process, because loggers of handler modules hold on to the stream they first saw.
    """

    def __init__(self) -> None:
        self.current = _Current()
        self.usual: TextIO | None = None

    def write(self, text: str) -> int:
        return (self.current.page or self._usual()).write(text)

    def flush(self) -> None:
        (self.current.page or self._usual()).flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._usual(), name)

    def _usual(self) -> Any:
        return self.usual or sys.__stdout__


_router = _Router()


@contextmanager
def routed() -> Iterator[None]:
    """While open, what handlers print does not reach the program's own standard output."""
    _router.usual = sys.stdout
    sys.stdout = _router
    try:
        yield
    finally:
        # Someone else may have replaced it since; then it is theirs to restore.
        if sys.stdout is _router:
            sys.stdout = _router.usual
        _router.usual = None


@contextmanager
def page(book: LogBook, function: str) -> Iterator[None]:
    """While open, what this thread prints is recorded as printed by ``function``."""
    before, opened = _router.current.page, _Page(book, function)
    _router.current.page = opened
    try:
        yield
    finally:
        opened.close()
        _router.current.page = before
