"""Where output goes: answers to standard output, progress and errors to standard error."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

_WIDTH_OF_FILES = 120


def out() -> Console:
    """The console for answers."""
    return _console(stderr=False)


def err() -> Console:
    """The console for progress, warnings and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # A file has no width of its own; rich would break its lines as if it were a small window.
        console.width = _WIDTH_OF_FILES
    return console


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a message; only a terminal breaks its lines."""
    console.print(text, style=style, soft_wrap=True)


def moving(console: Console, view: Callable[[], RenderableType]) -> Live:
    """A view that is drawn again and again while it is entered, and wiped away at the end.

    Standard output and error are left alone: while the local cloud runs, they keep apart what handlers print.
    """
    return Live(
        console=console,
        get_renderable=view,
        refresh_per_second=12,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def print_document(data: Any) -> None:
    """The one JSON document of a command with ``--json``."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def be_able_to_print() -> None:
    """A terminal that lacks a character gets a question mark instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
