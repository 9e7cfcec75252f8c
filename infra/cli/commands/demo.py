"""``apex demo``: four stories, told and checked."""

import time
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from infra.cli.console import err, out, print_document
from infra.cli.options import AsJson, Verbose

if TYPE_CHECKING:
    from infra.cli.stories import Story, Told
    from infra.local.session import LocalSession


def demo(verbose: Verbose = False, as_json: AsJson = False) -> None:
    """Watch four goals: two complete, one is undone, and of one nobody knows at first whether it charged the card.

    Every claim is checked in the journal and in the books of the airline, the hotel and the bank, which are services of
    their own. Exits with 0 only when all four ended as told, else with 1.

    [bold]Example[/bold]

    apex demo
    """
    from infra.cli.render_demo import summary
    from infra.cli.sessions import open_session
    from infra.cli.stories import STORIES

    began = time.monotonic()
    console = err() if as_json else out()
    with open_session(err(), None, verbose=verbose) as session:
        up_after = time.monotonic() - began
        told = [
            _tell(session, console, story, f"{number} of {len(STORIES)}", quiet=as_json and not console.is_terminal)
            for number, story in enumerate(STORIES, start=1)
        ]
    seconds = time.monotonic() - began
    as_told = all(one.as_told for one in told)
    if as_json:
        print_document(_document(told, as_told=as_told, seconds=seconds))
    else:
        console.print(summary(told, seconds=seconds, up_after=up_after))
    raise typer.Exit(0 if as_told else 1)


def _tell(session: "LocalSession", console: Console, story: "Story", number: str, *, quiet: bool) -> "Told":
    from infra.cli.render import Progress
    from infra.cli.render_demo import introduction, story_view
    from infra.cli.stories import tell

    if quiet:
        return tell(story, session, None)
    console.print(introduction(story, number))
    if not console.is_terminal:
        told = tell(story, session, None)
    else:
        with Progress(console) as progress:
            told = tell(story, session, progress.show)
    console.print(story_view(told))
    return told


def _document(told: "list[Told]", *, as_told: bool, seconds: float) -> dict[str, Any]:
    return {"as_told": as_told, "duration_ms": round(seconds * 1000), "stories": [one.to_dict() for one in told]}
