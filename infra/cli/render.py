"""How workflows look in a terminal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from apex.ports.store import WorkflowStore
from apex.schema.events import EventBase, GoalReceived, JournalEvent
from apex.schema.ledger import Head, Mode
from infra.cli.console import moving
from infra.cli.timeline import Line, LineState, Timeline

_MARKS: Mapping[LineState, tuple[str, str]] = {
    LineState.WAITING: ("·", "dim"),
    LineState.RUNNING: ("▸", "cyan"),
    LineState.TRYING_AGAIN: ("▸", "yellow"),
    LineState.DONE: ("✓", "green"),
    LineState.REJECTED: ("✗", "red"),
    LineState.UNKNOWN: ("?", "magenta"),
    LineState.NOT_STARTED: ("·", "dim"),
    LineState.NOT_APPLIED: ("✗", "red"),
    LineState.SKIPPED: ("»", "yellow"),
    LineState.BORROWED: ("≡", "cyan"),
    LineState.UNDOING: ("◂", "cyan"),
    LineState.UNDONE: ("↩", "green"),
    LineState.PARKED: ("!", "bold red"),
}
_STATUS_STYLES = {
    Mode.COMPLETED: "bold green",
    Mode.FAILED: "bold yellow",
    Mode.CANCELLED: "bold yellow",
    Mode.PARKED: "bold red",
}
_STATUS_WORDS = {
    Mode.COMPLETED: "every step is done",
    Mode.FAILED: "nothing of it remains outside",
    Mode.CANCELLED: "nothing of it remains outside",
    Mode.PARKED: "a person must decide",
}


# ── one workflow ────────────────────────────────────────────────────────────────────────────────────────────


def timeline_view(timeline: Timeline, now: datetime | None = None) -> RenderableType:
    """The timeline of one workflow; open lines are measured until ``now``, by default until the newest event."""
    at = now or timeline.updated_at or datetime.now(UTC)
    parts: list[RenderableType] = [Text(timeline.goal, style="bold")]
    if timeline.planner:
        parts.append(Text(f"planned by {timeline.planner}", style="dim"))
    parts.append(_lines(timeline, timeline.steps, at))
    if timeline.failure and timeline.steps:
        parts.append(Text(f"rollback: {timeline.failure}", style="yellow"))
    if timeline.undos:
        parts.append(_lines(timeline, timeline.undos.values(), at))
    return Group(*parts)


def _lines(timeline: Timeline, lines: Iterable[Line], now: datetime) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim", no_wrap=True)
    for _ in range(5):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        mark, style = _MARKS[line.state]
        table.add_row(
            _offset(timeline, line),
            Text(mark, style=style),
            line.step_id,
            line.name,
            Text(line.state.value, style=style),
            Text(_effort(line, now), style="dim"),
            Text(line.note, style="dim"),
        )
    return table


def _offset(timeline: Timeline, line: Line) -> str:
    if line.started_at is None or timeline.accepted_at is None:
        return ""
    return f"+{(line.started_at - timeline.accepted_at).total_seconds():.2f} s"


def _effort(line: Line, now: datetime) -> str:
    words = []
    seconds = line.seconds(now)
    if seconds is not None:
        words.append(duration(seconds))
    if line.attempts > 1:
        words.append(f"{line.attempts} attempts")
    return ", ".join(words)


def duration(seconds: float) -> str:
    """A duration in the unit that suits it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def summary_view(told: Mapping[str, Any]) -> RenderableType:
    """How it ended, from the report of a workflow."""
    mode = Mode(told["status"])
    words = f": {_STATUS_WORDS.get(mode, 'not ended yet')}{_facts(told)}"
    parts: list[RenderableType] = [Text.assemble((mode.value, _STATUS_STYLES.get(mode, "bold")), words)]
    error = told["error"]
    if error is not None and told["plan"] is None:
        code = f"{error['code']} " if "code" in error else ""
        parts.append(Text(f"{code}{error['message']}", style="yellow"))
    if told["result"] is not None:
        parts.append(Text(f"result: {json.dumps(told['result'], ensure_ascii=False)}"))
    parts.append(Text(f"workflow {told['workflow_id']}", style="dim"))
    return Group(*parts)


def _facts(told: Mapping[str, Any]) -> str:
    facts = []
    if told["duration_ms"] is not None:
        facts.append(duration(told["duration_ms"] / 1000))
    if told["transitions"] is not None:
        facts.append(f"{told['transitions']} state transitions")
    return f" ({', '.join(facts)})" if facts else ""


def replayed(events: Iterable[EventBase]) -> Timeline:
    """The timeline of a journal."""
    timeline = Timeline()
    for event in events:
        timeline.apply(event)
    return timeline


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────

_QUIET = frozenset(
    {
        *("event_id", "timestamp", "correlation_id", "tenant_id", "workflow_id", "seq", "schema_version", "type"),
        *("steps", "tool_input", "attempt_id", "idempotency_key", "lease_until", "plan_id", "result", "final_result"),
        *("context", "compensation_results", "step_id", "tool_name"),
    }
)
"""What a line about an event leaves out: long, or said already. ``apex events --json`` has everything."""


def event_line(event: JournalEvent, *, with_workflow: bool = False) -> Text:
    """One event in one line; what tools were given and answered is left out."""
    told = event.to_wire()
    where = " ".join(str(told[name]) for name in ("step_id", "tool_name") if told.get(name))
    facts = ", ".join(f"{name} {_short(value)}" for name, value in told.items() if name not in _QUIET)
    moment = f"{event.timestamp.astimezone():%H:%M:%S.%f}"[:-3]
    workflow = f" {event.workflow_id[:8]}" if with_workflow else ""
    return Text.assemble(
        (f"{moment}{workflow} {event.seq:>4}  ", "dim"), (event.type, "bold"), f"  {where}", (f"  {facts}", "dim")
    )


def _short(value: Any) -> str:
    text = str(value).replace("\n", " ")
    return text if len(text) <= 100 else f"{text[:99]}…"


class Progress:
    """Shows a workflow while it is carried out: a timeline that moves in a terminal, else one line per event.

    A context manager. What moved is wiped away at the end, so that the final timeline can be printed where it belongs.
    """

    def __init__(self, console: Console) -> None:
        self.timeline = Timeline()
        self._console = console
        self._live = moving(console, self._view) if console.is_terminal else None

    def _view(self) -> RenderableType:
        return timeline_view(self.timeline, datetime.now(UTC))

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, event: JournalEvent) -> None:
        """One more event happened."""
        self.timeline.apply(event)
        if self._live is None:
            self._console.print(event_line(event), soft_wrap=True)


# ── lists ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Listed:
    """A workflow in a list: its head and its goal."""

    head: Head
    goal: str

    @classmethod
    def read(cls, store: WorkflowStore, head: Head) -> "Listed":
        """Read what the head does not hold."""
        first = store.event(head.ref, 1)
        return cls(head, first.goal if isinstance(first, GoalReceived) else "")

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain data."""
        head = self.head
        return {
            "workflow_id": head.workflow_id,
            "status": head.mode.value,
            "goal": self.goal,
            "accepted_at": head.created_at.isoformat(),
            "deadline": head.deadline.isoformat(),
            "steps": head.step_count,
            "events": head.seq,
        }


def workflows_view(listed: Sequence[Listed]) -> Table:
    """The workflows of a tenant, one line each."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("workflow", "status", "accepted", "steps"):
        table.add_column(name, no_wrap=True)
    table.add_column("goal", overflow="fold")
    for one in listed:
        head = one.head
        table.add_row(
            head.workflow_id,
            Text(head.mode.value, style=_STATUS_STYLES.get(head.mode, "bold")),
            f"{head.created_at.astimezone():%Y-%m-%d %H:%M:%S}",
            str(head.step_count),
            Text(one.goal),
        )
    return table
