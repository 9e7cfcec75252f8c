"""How the stories of ``apex demo`` look in a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from infra.cli.render import duration, replayed, summary_view, timeline_view
from infra.cli.stories import Seen, Story, Told
from infra.cli.witness import Booked

_VERBS: Mapping[tuple[str, str], str] = {
    ("flights", "apply"): "seat booked",
    ("flights", "undo"): "seat given back",
    ("hotels", "apply"): "room reserved",
    ("hotels", "undo"): "room given back",
    ("payments", "apply"): "card charged",
    ("payments", "undo"): "card refunded",
}


def introduction(story: Story, number: str) -> RenderableType:
    """The title of a story, and the trouble that is ordered for it."""
    lines = [Text.assemble("\n", (f"{number}  ", "dim"), (story.title, "bold cyan"))]
    if story.trouble is not None:
        provider, fault = story.trouble
        lines.append(Text(f"ordered from {provider}: {fault['mode']} at the next {fault['operation']}", style="dim"))
    return Group(*lines)


def story_view(told: Told) -> RenderableType:
    """What happened, what the providers' books say, and whether every claim holds."""
    parts: list[RenderableType] = [timeline_view(replayed(told.seen.events)), summary_view(told.seen.told)]
    parts.append(Text("\nthe providers' own books", style="bold"))
    parts.append(_ledger(told.seen.ledger))
    if told.story.shows_inventory:
        parts.append(_inventory(told.seen))
    parts.append(Text())
    parts.extend(_verdict(claim, holds=holds) for claim, holds in told.verdicts)
    return Padding(Group(*parts), (0, 0, 0, 2), expand=False)


def _verdict(claim: str, *, holds: bool) -> Text:
    return Text.assemble(("✓ ", "green") if holds else ("✗ does not hold: ", "bold red"), claim)


def _ledger(entries: Sequence[Booked]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for entry in entries:
        table.add_row(
            Text(entry.at[11:23], style="dim"), entry.provider, _VERBS[entry.provider, entry.kind], _subject(entry.what)
        )
    return table


def _subject(what: Mapping[str, Any]) -> str:
    if "amount" in what:
        return f"{what['amount']} {what['currency']}"
    return str(what.get("flight_id") or what.get("hotel_id"))


def _inventory(seen: Seen) -> Table:
    """What was taken before the story and after it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("inventory", "before", "after"):
        table.add_column(name, no_wrap=True)
    before, after = dict(_stock(seen.before)), dict(_stock(seen.after))
    for item in {**before, **after}:
        table.add_row(item, before.get(item, "nothing taken"), after.get(item, "nothing taken"))
    return table


def _stock(inventories: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    for row in inventories["flights"]:
        yield f"seats on {row['flight_id']}", f"{row['taken']} taken, {row['left']} left"
    for row in inventories["hotels"]:
        yield f"rooms at {row['hotel_id']}, {row['night']}", f"{row['taken']} taken, {row['left']} left"
    for row in inventories["payments"]:
        yield f"credit of {row['card']}", f"${row['charged']} charged, ${row['available']} left"


def summary(told: Sequence[Told], *, seconds: float, up_after: float) -> RenderableType:
    """One line per story, and how long everything took."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("story", "ended", "took", "transitions", "as told"):
        table.add_column(name, no_wrap=name != "story")
    for one in told:
        report = one.seen.told
        table.add_row(
            one.story.title,
            report["status"],
            duration((report["duration_ms"] or 0) / 1000),
            str(report["transitions"]),
            Text("✓ yes", style="green") if one.as_told else Text("✗ no", style="bold red"),
        )
    return Group(table, Text(f"{duration(seconds)} in all, {duration(up_after)} of it to start", style="dim"))
