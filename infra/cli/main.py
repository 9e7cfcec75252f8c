"""The entry point of ``apex``: the verbs, what holds for all of them, and what becomes of errors."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated

import typer

from infra.cli import errors
from infra.cli.commands import bench, operate, plan
from infra.cli.commands.chaos import chaos
from infra.cli.commands.demo import demo
from infra.cli.commands.run import run
from infra.cli.commands.show import events, show, workflows
from infra.cli.commands.tools import tools
from infra.cli.commands.up import up
from infra.cli.console import be_able_to_print, err, print_document, say

_EVERYWHERE = "--debug"

app = typer.Typer(
    name="apex",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 completed, 1 failed and rolled back (or not planned), 2 usage or invalid input, 3 parked, "
    "4 the command itself could not do its work.",
)
for verb in (run, up, show, events, workflows, tools, demo, chaos):
    app.command()(verb)
for decision in (
    operate.retry_step,
    operate.skip_step,
    operate.mark_applied,
    operate.mark_not_applied,
    operate.compensate,
    operate.abandon,
    operate.resume,
    operate.fork,
):
    app.command(rich_help_panel="Decide about a workflow")(decision)
app.add_typer(plan.app, name="plan")
app.add_typer(bench.app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"apex {version('apex-orchestrator')}\n")
        raise typer.Exit


@app.callback()
def apex(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option(_EVERYWHERE, help="Show where an error came from; may stand after any verb.")
    ] = False,
) -> None:
    """Carries out goals as sagas: every effect at most once, and undone in reverse or parked where a goal fails."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug, as_json = _EVERYWHERE in given, "--json" in given
    given = [word for word in given if word != _EVERYWHERE]
    be_able_to_print()
    try:
        with _terminated_like_interrupted(), _libraries_quiet(unless=debug):
            return int(app(args=given, prog_name="apex", standalone_mode=False) or 0)
    except typer.TyperException as error:
        return _misused(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is told in one place
        return errors.tell(error, as_json=as_json, debug=debug)


def _misused(error: typer.TyperException, *, as_json: bool) -> int:
    if as_json:
        print_document(errors.usage_document(error))
    elif error.format_message():
        say(err(), f"{error.format_message()}\nSee `apex --help`.")
    return errors.USAGE


@contextmanager
def _libraries_quiet(*, unless: bool) -> Iterator[None]:
    """Libraries underneath warn about executions that end with the process: news for defect hunters only."""
    handler = logging.StreamHandler() if unless else logging.NullHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM is treated like Ctrl-C, so that what was started is stopped either way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
