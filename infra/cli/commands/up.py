"""``apex up``: the system stays up until it is told to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from infra.cli.console import err, out, print_document
from infra.cli.options import AsJson, DataDir, Verbose

if TYPE_CHECKING:
    from infra.local.session import LocalSession

_LOOK_UP_SECONDS = 0.5
"""How long a wait for an event lasts; a signal is noticed at the end of it at the latest."""


def up(data: DataDir = None, verbose: Verbose = False, as_json: AsJson = False) -> None:
    """Start the system on this machine and keep it up until Ctrl-C, showing each event of a workflow as it happens.

    What earlier processes left unfinished in the data directory goes on. The system cannot be given goals from outside
    yet: the HTTP API comes later. Until then `apex run` starts its own.
    With --json what runs is told in one document; the events go to standard error.

    [bold]Example[/bold]

    apex up --data ./apex-data
    """
    from infra.cli.sessions import open_session
    from infra.cli.watching import watched

    progress = err()
    with (
        _told_to_stop(),
        open_session(progress, data, verbose=verbose) as session,
        watched(session) as watch,
        _stopping_undisturbed(progress),
    ):
        if as_json:
            print_document(what_runs(session))
        else:
            _print(out(), what_runs(session))
        follow(watch, progress if as_json else out())


@contextmanager
def _told_to_stop() -> Iterator[None]:
    """Being told to stop is how this verb ends, whenever that comes."""
    # Set here because a shell has what it starts in the background ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _stopping_undisturbed(progress: Console) -> Iterator[None]:
    """Asked once is enough: once told to stop, further signals do not disturb the orderly end."""
    try:
        yield
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        progress.print("Stopping.")
        raise


def follow(watch: Any, console: Console) -> None:
    """Print events for ever."""
    from infra.cli.render import event_line

    while True:
        event = watch.next(_LOOK_UP_SECONDS)
        if event is not None:
            console.print(event_line(event, with_workflow=True), soft_wrap=True)


def what_runs(session: "LocalSession") -> dict[str, Any]:
    """The parts of the running system by kind, under their physical names."""
    outputs = session.cloud.outputs

    def named(ending: str) -> list[str]:
        return sorted(name for output, name in outputs.items() if output.endswith(ending))

    return {
        "tables": named("Table"),
        "bucket": outputs["PayloadBucket"],
        "event_bus": outputs["EventBus"],
        "state_machines": named("MachineArn"),
        "functions": named("Function"),
        "providers": dict(session.providers.urls),
    }


def _print(console: Console, parts: dict[str, Any]) -> None:
    providers = [f"{name} {url}" for name, url in parts["providers"].items()]
    told = {
        "tables": parts["tables"],
        "state machines": [arn.rpartition(":")[2] for arn in parts["state_machines"]],
        "functions": parts["functions"],
        "bus, bucket": [parts["event_bus"], parts["bucket"]],
        "providers": providers,
    }
    for kind, names in told.items():
        console.print(Text.assemble((f"{kind:<16}", "bold"), ", ".join(names)), soft_wrap=True)
    console.print("The HTTP API comes later; until then goals are run with `apex run`. Ctrl-C stops everything.")
