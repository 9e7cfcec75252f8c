"""Starting the system on this machine for a command, with the handlers' log lines kept out of its output."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.spinner import Spinner
from rich.text import Text

from apex import faults
from apex.errors import InvalidInput
from infra.cli.console import moving

if TYPE_CHECKING:
    from infra.local.cloud import Isolation
    from infra.local.lambdas.logs import LogLine
    from infra.local.session import LocalSession

LOG_FILE = "handlers.log"


@contextmanager
def open_session(
    console: Console,
    data: Path | None,
    *,
    isolation: "Isolation" = "threads",
    injector: faults.Injector | None = None,
    verbose: bool = False,
    carries_on: bool = True,
) -> "Iterator[LocalSession]":
    """A running system. ``console`` gets progress, and with ``verbose`` the log lines, which ``data`` keeps in a file.
    It ``carries_on`` with what earlier processes left unfinished in ``data``.

    Raises ``InvalidInput`` where ``data`` cannot be a directory, ``DataDirectoryBusy`` where it is being written to.
    """
    with ExitStack() as stack:
        on_log = _log_sink(stack, console, data, verbose=verbose)
        with _at_work(console, "starting the local cloud…"):
            # Imported only here: it takes a second and most of the memory.
            from infra.local.session import LocalSession

            session = stack.enter_context(
                LocalSession(data, isolation=isolation, injector=injector, on_log=on_log, carries_on=carries_on)
            )
        yield session


@contextmanager
def _at_work(console: Console, what: str) -> Iterator[None]:
    """Show that something is going on, where a person is looking."""
    if not console.is_terminal:
        yield
        return
    spinner = Spinner("dots", what)
    with moving(console, lambda: spinner):
        yield


def _log_sink(stack: ExitStack, console: Console, data: Path | None, *, verbose: bool) -> "Callable[[LogLine], None]":
    file = None
    if data is not None:
        try:
            data.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((data / LOG_FILE).open("a", encoding="utf-8", buffering=1))
        except OSError as error:
            raise InvalidInput(f"{data} cannot be the data directory: {error.strerror}") from error

    writing = threading.Lock()

    def sink(line: "LogLine") -> None:
        with writing:
            # Closed: a handler that was cut off and still runs has nobody left to tell.
            if file is not None and not file.closed:
                file.write(f"{line.function} {line.text}\n")
        if verbose:
            console.print(Text(f"{line.function} {line.text}", style="dim"), soft_wrap=True)

    return sink
