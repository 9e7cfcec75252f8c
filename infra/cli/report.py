"""A workflow as plain data, from its journal and its effect ledger: what ``--json`` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from apex.errors import InvalidInput, all_errors
from apex.ports.store import WorkflowStore
from apex.schema.events import JournalEvent, WorkflowParked
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Entry, Head, Mode
from apex.schema.wire import thaw
from apex.workflow.fold import StepState, WorkflowState, fold

_EXIT_CODES = {Mode.COMPLETED: 0, Mode.PARKED: 3}
FAILED = 1


def exit_code(mode: Mode) -> int:
    """0 completed, 3 parked, 1 for everything else that is not done."""
    return _EXIT_CODES.get(mode, FAILED)


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that is stored about one workflow. Head and ledger may be newer than the last event."""

    head: Head
    events: Sequence[JournalEvent]
    entries: Mapping[str, Entry]

    @classmethod
    def read(cls, store: WorkflowStore, ref: WorkflowRef) -> "Record":
        """Read it all. Raises ``WorkflowNotFound``."""
        events, entries = list(store.events(ref)), store.entries(ref)
        return cls(store.head(ref), events, entries)

    def at(self, seq: int) -> "Record":
        """What was known after the event of that number, folded from the journal.

        Raises ``InvalidInput`` where there is none of that number.
        """
        if not 1 <= seq <= len(self.events):
            raise InvalidInput(f"the journal holds the events 1 to {len(self.events)}, and no {seq}")
        events = self.events[:seq]
        state = fold(events)
        head = self.head.model_copy(
            update={"mode": state.status, "seq": seq, "generation": state.generation, "failure": state.failure}
        )
        entries = {step.step_id: _entry(step) for step in state.steps if step.state is not EffectState.NONE}
        return Record(head, events, entries)


def _entry(step: StepState) -> Entry:
    return Entry(
        step_id=step.step_id,
        tool=step.tool,
        state=step.state,
        started_seq=step.started_seq,
        attempt=step.attempts,
        skipped=step.skipped,
        result=step.result,
        error=step.error,
    )


def report(record: Record, transitions: int | None = None) -> dict[str, Any]:
    """The object of ``apex run --json``; ``transitions`` None where nobody knows any more."""
    state = fold(record.events)
    return {
        "workflow_id": record.head.workflow_id,
        "status": record.head.mode.value,
        "plan": _plan(state),
        "effects": _effects(state, record.entries),
        "result": thaw(state.final_result),
        "error": _error(state, record.events),
        "transitions": transitions,
        "duration_ms": _milliseconds(state.duration),
    }


def detailed_report(record: Record) -> dict[str, Any]:
    """The object of ``apex show --json``: the same, who asked for what, when what happened, how many events."""
    state = fold(record.events)
    return {
        **report(record),
        "goal": state.goal,
        "tenant": record.head.tenant,
        "user_id": state.user_id,
        "events": len(record.events),
        "timings": {
            "accepted_at": _moment(state.accepted_at),
            "planned_at": _moment(state.planned_at),
            "ended_at": _moment(state.ended_at),
            "steps": [_timing(step) for step in state.steps],
        },
    }


def _plan(state: WorkflowState) -> dict[str, Any] | None:
    if state.plan_id is None:
        return None
    return {
        "planner": state.planner,
        "cache_hit": state.cache_hit,
        "template_id": state.template_id,
        "steps": [
            {"id": step.id, "tool": step.tool, "input": thaw(step.input), "depends_on": list(step.depends_on)}
            for step in state.plan
        ],
    }


def _effects(state: WorkflowState, entries: Mapping[str, Entry]) -> list[dict[str, Any]]:
    """What the ledger says of every step: the started ones in start order, then the others as they were planned."""
    planned = {step.id: step.tool for step in state.plan}
    absent = [
        Entry(step_id=step_id, tool=tool, state=EffectState.NONE)
        for step_id, tool in planned.items()
        if step_id not in entries
    ]
    order = list(planned)

    def place(entry: Entry) -> tuple[bool, int]:
        if entry.started_seq:
            return False, entry.started_seq
        return True, order.index(entry.step_id) if entry.step_id in planned else len(order)

    return [
        {"step_id": entry.step_id, "tool": entry.tool, "state": entry.state.value, "attempts": entry.attempt}
        for entry in sorted([*entries.values(), *absent], key=place)
    ]


def _error(state: WorkflowState, events: Sequence[JournalEvent]) -> dict[str, Any] | None:
    if state.failure is None:
        return None
    code = _CODES.get(state.failure.error)
    reasons = [event.reason for event in events if isinstance(event, WorkflowParked)]
    message = reasons[-1] if state.status is Mode.PARKED and reasons else state.failure.message
    known = {} if code is None else {"code": code}
    return {
        **known,
        "step_id": state.failure.step_id,
        "error": state.failure.error,
        "message": message.removeprefix(f"{code} "),
    }


def _timing(step: StepState) -> dict[str, Any]:
    return {
        "step_id": step.step_id,
        "started_at": _moment(step.started_at),
        "ended_at": _moment(step.ended_at),
        "duration_ms": _milliseconds(step.duration),
        "undo_started_at": _moment(step.undo_started_at),
        "undo_ended_at": _moment(step.undo_ended_at),
        "undo_duration_ms": _milliseconds(step.undo_duration),
    }


def _moment(value: Any) -> str | None:
    return None if value is None else value.isoformat()


def _milliseconds(duration: timedelta | None) -> int | None:
    return None if duration is None else round(duration.total_seconds() * 1000)


_CODES = {error.__name__: error.code for error in all_errors()}
