"""Watching a workflow until it ends, and telling how it ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from infra.cli.console import out
from infra.cli.render import Progress, replayed, summary_view, timeline_view
from infra.cli.report import Record, report

if TYPE_CHECKING:
    from infra.local.session import LocalSession


@contextmanager
def progress(console: Console, *, quiet: bool) -> Iterator[Callable[[JournalEvent], None] | None]:
    """Shows a workflow's events on ``console``; quiet, only where a person is looking."""
    if quiet and not console.is_terminal:
        yield None
        return
    with Progress(console) as shown:
        yield shown.show


def outcome(session: "LocalSession", ref: WorkflowRef, *, counted: bool) -> tuple[dict[str, Any], Record]:
    """What is told of a workflow and what is stored about it.

    ``counted``: this process ran all of its executions. They live as long as the process, so of a workflow that an
    earlier one ran nobody knows the count of state transitions any more.
    """
    record = Record.read(session.house.store, ref)
    return report(record, session.transitions(ref) if counted else None), record


def print_outcome(record: Record, told: dict[str, Any]) -> None:
    """The timeline and the summary, on standard output."""
    console = out()
    console.print(timeline_view(replayed(record.events)))
    console.print()
    console.print(summary_view(told), soft_wrap=True)
