"""A second opinion on executions: the same definition under an independent interpreter, with the recorded results.

An execution that ran here is read from its history. Then ``sfnx``, which shares no code with moto, runs the same
definition with the same input; each of its tasks is answered with what the task at the same place of the history
answered. The two must enter the same states, make the same calls with the same arguments, in an order that the history
kept, and end alike. A ``Scope`` says where a state ran: ``()`` is the machine itself, ``("Wave#2[0]",)`` the first item
of the Map ``Wave`` when it was entered for the third time; scopes go deeper in nested Maps.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sfnx.testing as second
from statelint.linter import Linter

from infra.local.asl_history import Call, Scope, Trace, read_history
from infra.local.repairs.stepfunctions_definitions import problems
from infra.local.repairs.stepfunctions_patching import replace

Json = Any

_COMPARABLE = frozenset({"SUCCEEDED", "FAILED"})
_MISTAKEN = re.compile(r'is (-?\d+ but should be a Float|"\{%.*%\}" but should be (an Integer|numeric|a Boolean))')

# The second interpreter is steered through its module, so one run at a time.
_one_run = threading.Lock()


@dataclass(frozen=True)
class Differences:
    """How the two interpreters differ, each list in words; all empty means that they agree.

    ``happens_before`` holds every ordered pair of calls that was checked, as places (scope, position), so that a test
    can show that it compared something.
    """

    endings: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    happens_before: frozenset[tuple[tuple[Scope, int], tuple[Scope, int]]] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.endings or self.states or self.calls or self.order)

    def __str__(self) -> str:
        return "\n".join((*self.endings, *self.states, *self.calls, *self.order)) or "no differences"


def lint(definition: str) -> list[str]:
    """What statelint, the second interpreter and our own checks find wrong in a rendered definition (JSON text).

    Empty when it is fine. statelint wants a fraction where AWS takes any number, and knows no expressions in the place
    of numbers: what it says of these is left out.
    """
    found = problems(definition)
    if found:
        return found
    machine = json.loads(definition)
    found = [str(problem) for problem in Linter.validate(machine) if not _MISTAKEN.search(str(problem))]
    try:
        second.check(machine)
    except ValueError as error:
        found.append(str(error))
    return found


def compare_execution(client: Any, execution_arn: str) -> Differences:
    """Compare an execution that has ended with the second interpreter; ``client`` is a boto3 stepfunctions client.

    Raises ValueError for an execution that runs, was stopped or timed out: there is nothing to compare it with.
    """
    described = client.describe_execution(executionArn=execution_arn)
    if described["status"] not in _COMPARABLE:
        raise ValueError(f"an execution that is {described['status']} has no counterpart: {execution_arn}")
    machine = client.describe_state_machine(stateMachineArn=described["stateMachineArn"])
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    events = [event for page in pages for event in page["events"]]
    context = {
        "Execution": {
            "Id": execution_arn,
            "Name": described["name"],
            "Input": json.loads(described["input"]),
            "RoleArn": machine["roleArn"],
            "StartTime": _iso(described["startDate"]),
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": described["stateMachineArn"], "Name": machine["name"]},
    }
    return compare_trace(json.loads(machine["definition"]), context, read_history(events))


def compare_all(client: Any) -> dict[str, Differences]:
    """Compare every execution of every machine that has succeeded or failed; the results by execution ARN."""
    machines = client.get_paginator("list_state_machines").paginate()
    arns = [machine["stateMachineArn"] for page in machines for machine in page["stateMachines"]]
    lists = [client.get_paginator("list_executions").paginate(stateMachineArn=arn) for arn in arns]
    executions = [execution for pages in lists for page in pages for execution in page["executions"]]
    ended = [found["executionArn"] for found in executions if found["status"] in _COMPARABLE]
    return {arn: compare_execution(client, arn) for arn in ended}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compare_trace(definition: Mapping[str, Json], context: Mapping[str, Json], recorded: Trace) -> Differences:
    """Compare what was recorded with a run of the second interpreter in this context object."""
    replay = _Replay(recorded)
    with replay.steering(context):
        ended = second.run(definition, context["Execution"]["Input"], replay.answer)
    pairs = frozenset(_happens_before(replay.asked))
    return Differences(
        tuple(_ending_differences(recorded, ended)),
        tuple(_state_differences(recorded, replay)),
        (*replay.complaints, *_unasked(recorded, replay)),
        tuple(_order_differences(recorded, pairs)),
        pairs,
    )


class _Aborted(BaseException):
    """The recorded execution gave up this item of a Map because another one had failed."""


@dataclass
class _Replay:
    """Answers the second interpreter's tasks from a trace, and notes where its states ran."""

    recorded: Trace
    visits: dict[Scope, list[str]] = field(default_factory=dict)
    asked: list[tuple[Scope, int]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    failed_maps: set[Scope] = field(default_factory=set)
    _scopes: list[Scope] = field(default_factory=list)
    _items: list[int] = field(default_factory=list)

    @contextmanager
    def steering(self, context: Mapping[str, Json]) -> Iterator[None]:
        """Follow the interpreter from scope to scope, and let it run in the recorded context object."""
        with _one_run:
            undo = replace(
                (second, "scope", self._scope_with(second.scope)),
                (second, "run_map", self._map_with(second.run_map)),
                (second, "execution_context", lambda *_: dict(context)),
            )
            try:
                yield
            finally:
                undo()

    def _scope_with(self, original: Any) -> Any:
        def scope(definition: Json, variables: Json, state_input: Json, context: Json, record: Any) -> Json:
            if not self._scopes:
                record.states = _Entered(self)
            self._scopes.append(self._enter())
            try:
                return original(definition, variables, state_input, context, record)
            except _Aborted:
                return None
            finally:
                self._scopes.pop()

        return scope

    def _enter(self) -> Scope:
        if not self._scopes:
            return ()
        parent = self._scopes[-1]
        index = self._items[-1]
        self._items[-1] += 1
        return (*parent, f"{self._current_map()}[{index}]")

    def _current_map(self) -> str:
        visited = self.visits[self._scopes[-1]]
        return f"{visited[-1]}#{visited.count(visited[-1]) - 1}"

    def _map_with(self, original: Any) -> Any:
        def run_map(*args: Any) -> Json:
            here = (*self._scopes[-1], self._current_map())
            self._items.append(0)
            try:
                return original(*args)
            except second.Failure:
                self.failed_maps.add(here)
                raise
            finally:
                self._items.pop()

        return run_map

    def entered(self, state: str) -> None:
        self.visits.setdefault(self._scopes[-1], []).append(state)

    def answer(self, call: second.Call) -> object:
        """The result of the recorded call at the same place; raises Failure when that call failed."""
        scope = self._scopes[-1]
        position = sum(1 for place, _ in self.asked if place == scope)
        calls = self.recorded.calls.get(scope, ())
        if position >= len(calls):
            if scope:
                raise _Aborted
            self.complaints.append(f"{call.state} is called once more than recorded at {_where(scope)}")
            raise second.Failure("Recorded.Nothing", f"no call {position} at {_where(scope)}")
        found = calls[position]
        self.asked.append((scope, position))
        self._check(call, found)
        if found.error is not None:
            raise second.Failure(found.error, found.cause or "")
        if found.ended is None:
            raise _Aborted
        return found.result

    def _check(self, call: second.Call, found: Call) -> None:
        place = f"{call.state} at {_where(found.scope)}"
        if call.state != found.state:
            self.complaints.append(f"{place} is called where {found.state} was")
        elif not _same(call.arguments, found.arguments, token=call.resource.endswith(".waitForTaskToken")):
            self.complaints.append(f"{place} is called with {call.arguments}, recorded {found.arguments}")


class _Entered(list[str]):
    """The list in which the second interpreter notes the states it enters."""

    def __init__(self, replay: _Replay) -> None:
        super().__init__()
        self._replay = replay

    def append(self, state: str, /) -> None:
        super().append(state)
        self._replay.entered(state)


def _same(asked: Json, recorded: Json, *, token: bool) -> bool:
    """Equal JSON; a task token, which the second interpreter calls ``token``, equals every text."""
    if token and asked == "token":
        return isinstance(recorded, str)
    if isinstance(asked, dict) and isinstance(recorded, dict):
        return asked.keys() == recorded.keys() and all(_same(asked[k], recorded[k], token=token) for k in asked)
    if isinstance(asked, list) and isinstance(recorded, list):
        return len(asked) == len(recorded) and all(
            _same(mine, other, token=token) for mine, other in zip(asked, recorded, strict=True)
        )
    return bool(asked == recorded) and isinstance(asked, bool) == isinstance(recorded, bool)


def _where(scope: Scope) -> str:
    return "/".join(scope) or "the top"


def _ending_differences(recorded: Trace, ended: second.Execution) -> Iterator[str]:
    if (recorded.error is None) != (ended.error is None) or recorded.error != ended.error:
        yield f"it ends with {ended.error or 'success'}, recorded {recorded.error or 'success'}"
    elif ended.error is None and not _same(ended.output, recorded.output, token=False):
        yield f"its output is {ended.output}, recorded {recorded.output}"


def _state_differences(recorded: Trace, replay: _Replay) -> Iterator[str]:
    for scope in sorted(recorded.visits.keys() | replay.visits.keys()):
        mine, other = tuple(replay.visits.get(scope, ())), recorded.visits.get(scope, ())
        cut_short = any(_inside(scope, failed) for failed in replay.failed_maps)
        if cut_short:
            shorter = min(len(mine), len(other))
            mine, other = mine[:shorter], other[:shorter]
        if mine != other:
            yield f"{_where(scope)}: the states are {' > '.join(mine)}, recorded {' > '.join(other)}"


def _inside(scope: Scope, of_map: Scope) -> bool:
    """Whether a scope lies in one entering of a Map, written as the Map's scope followed by ``name#visit``."""
    depth = len(of_map) - 1
    return len(scope) > depth and scope[:depth] == of_map[:depth] and scope[depth].startswith(of_map[depth] + "[")


def _unasked(recorded: Trace, replay: _Replay) -> Iterator[str]:
    asked = set(replay.asked)
    for scope, calls in recorded.calls.items():
        if any(_inside(scope, failed) for failed in replay.failed_maps):
            continue
        for position, call in enumerate(calls):
            if (scope, position) not in asked:
                yield f"{call.state} at {_where(scope)} was called, but the second interpreter does not call it"


def _happens_before(asked: Sequence[tuple[Scope, int]]) -> Iterator[tuple[tuple[Scope, int], tuple[Scope, int]]]:
    """Pairs of calls that the definition orders: all but those in different items of one entering of a Map."""
    for later in range(len(asked)):
        for earlier in range(later):
            if not _concurrent(asked[earlier][0], asked[later][0]):
                yield asked[earlier], asked[later]


def _concurrent(first: Scope, other: Scope) -> bool:
    for mine, theirs in zip(first, other, strict=False):
        if mine != theirs:
            return mine.partition("[")[0] == theirs.partition("[")[0]
    return False


def _order_differences(recorded: Trace, pairs: frozenset[tuple[tuple[Scope, int], tuple[Scope, int]]]) -> Iterator[str]:
    for (scope, position), (next_scope, next_position) in pairs:
        earlier, later = recorded.calls[scope][position], recorded.calls[next_scope][next_position]
        if earlier.ended is not None and earlier.ended > later.started:
            yield f"{later.state} at {_where(later.scope)} began before {earlier.state} at {_where(scope)} had ended"
