"""Reading an execution's history: which states ran where, and which calls they made."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = Any
Scope = tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """One attempt of a task; ``started`` and ``ended`` are ids of history events, which grow with time.

    ``ended`` is None for a task whose end was not recorded, because the execution had given it up.
    """

    scope: Scope
    state: str
    arguments: Json
    started: int
    ended: int | None = None
    result: Json = None
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class Trace:
    """An execution that ended: per scope the states entered and the calls made, both in order."""

    output: Json
    error: str | None
    visits: Mapping[Scope, tuple[str, ...]]
    calls: Mapping[Scope, tuple[Call, ...]]


@dataclass
class _Reader:
    scopes: dict[int, Scope] = field(default_factory=lambda: {0: ()})
    visits: dict[Scope, list[str]] = field(default_factory=dict)
    calls: dict[Scope, list[Call]] = field(default_factory=dict)
    output: Json = None
    error: str | None = None

    def read(self, event: Json) -> None:
        kind: str = event["type"]
        scope = self._scope(event)
        self.scopes[event["id"]] = scope
        if kind.endswith("StateEntered"):
            self.visits.setdefault(scope, []).append(event["stateEnteredEventDetails"]["name"])
        elif kind == "TaskScheduled":
            arguments = json.loads(event["taskScheduledEventDetails"]["parameters"])
            state = self.visits[scope][-1]
            self.calls.setdefault(scope, []).append(Call(scope, state, arguments, event["id"]))
        elif kind in {"TaskSucceeded", "TaskFailed", "TaskTimedOut"}:
            self._end_call(scope, event)
        elif kind == "ExecutionSucceeded":
            self.output = json.loads(event["executionSucceededEventDetails"]["output"])
        elif kind == "ExecutionFailed":
            self.error = event["executionFailedEventDetails"].get("error", "")

    def _scope(self, event: Json) -> Scope:
        """The scope of the event before it, unless this event opens an item of a Map or leaves a Map."""
        before = self.scopes[event["previousEventId"]]
        if event["type"] == "MapIterationStarted":
            details = event["mapIterationStartedEventDetails"]
            parent = _outside(before, details["name"])
            visit = self.visits[parent].count(details["name"]) - 1
            return (*parent, f"{details['name']}#{visit}[{details['index']}]")
        if event["type"] == "MapStateExited":
            return _outside(before, event["stateExitedEventDetails"]["name"])
        return before

    def _end_call(self, scope: Scope, event: Json) -> None:
        calls = self.calls.get(scope, [])
        # An error in Arguments is a failed task that was never scheduled: the second interpreter makes no call either.
        if not calls or calls[-1].ended is not None:
            return
        details = next(value for key, value in event.items() if key.endswith("EventDetails"))
        if event["type"] == "TaskSucceeded":
            calls[-1] = replace(calls[-1], ended=event["id"], result=json.loads(details["output"]))
        else:
            error, cause = details.get("error", ""), details.get("cause")
            calls[-1] = replace(calls[-1], ended=event["id"], error=error, cause=cause)


def _outside(scope: Scope, map_name: str) -> Scope:
    """The scope in which a Map stands, seen from somewhere inside it or from there."""
    for depth, part in enumerate(scope):
        if part.startswith(f"{map_name}#"):
            return scope[:depth]
    return scope


def read_history(events: Iterable[Json]) -> Trace:
    """Read the events of one execution, as GetExecutionHistory returns them, in the order of their ids."""
    reader = _Reader()
    for event in sorted(events, key=lambda event: int(event["id"])):
        reader.read(event)
    return Trace(
        reader.output,
        reader.error,
        {scope: tuple(states) for scope, states in reader.visits.items()},
        {scope: tuple(calls) for scope, calls in reader.calls.items()},
    )
