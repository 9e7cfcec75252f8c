"""EventBridge: rules that reach functions and state machines, and only those rules that an event is meant for."""

import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.events.models import EventsBackend, Rule
from moto.events.responses import EventsHandler

from infra.local.direct_calls import answer_directly
from infra.local.events import SERVICES
from infra.local.ids import request_id
from infra.local.repairs import Repair, Undo
from infra.local.repairs.stepfunctions_patching import replace

Event = dict[str, Any]
Sink = Callable[[Rule, Mapping[str, Any], Event], None]
"""Takes an event for one target of a rule, without waiting for its delivery."""

_ENVELOPE = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
_ENTRIES = 10
"""Events that one call may bring."""
_sinks: list[Sink] = []


def deliver_with(sink: Sink) -> Undo:
    """Hand the events for functions, state machines and queues to ``sink``; the function returned ends that."""
    _sinks.append(sink)
    return lambda: _sinks.remove(sink)


def _time(value: Any) -> str:
    """The time of an event as EventBridge writes it: UTC, whole seconds, ``Z``."""
    if isinstance(value, str):
        return value
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _timed(event: Mapping[str, Any]) -> Event:
    return {**event, "time": _time(event["time"])}


def envelope(event: Mapping[str, Any]) -> Event:
    """The event as targets see it: the fields that AWS sends, and no others."""
    return {name: value for name, value in _timed(event).items() if name in _ENVELOPE}


def _is_about_other_things(pattern: Mapping[str, Any], event: Event) -> bool:
    """Whether source or type alone rule an event out; most rules need no closer look."""
    for name in ("source", "detail-type"):
        wanted = pattern.get(name)
        if (
            isinstance(wanted, list)
            and all(isinstance(value, str) for value in wanted)
            and event.get(name) not in wanted
        ):
            return True
    return False


def _is_unheard(backend: EventsBackend, event: Event) -> bool:
    """Whether an event is in order, and no rule of its bus can be meant."""
    try:
        is_object = isinstance(json.loads(event["Detail"]), dict)
        about = {"source": event["Source"], "detail-type": event["DetailType"]}
    except (KeyError, ValueError):
        return False
    if not (is_object and all(about.values())):
        return False
    bus = backend.describe_event_bus(backend._normalize_event_bus_arn(event.get("EventBusName")))
    return all(_is_about_other_things(rule.event_pattern.get_pattern() or {}, about) for rule in bus.rules.values())


def _install_unheard_events() -> Undo:
    original: Callable[[EventsBackend, list[Event]], list[Event]] = EventsBackend.put_events

    def put_events(self: EventsBackend, events: list[Event]) -> list[Event]:
        if len(events) > _ENTRIES:
            return original(self, events)
        answers: list[Event] = []
        for event in events:
            answers += [{"EventId": request_id()}] if _is_unheard(self, event) else original(self, [event])
        return answers

    return replace((EventsBackend, "put_events", put_events))


def _install_targets() -> Undo:
    send_to_targets = Rule.send_to_targets

    def deliver(rule: Rule, original_event: Event, transform_input: bool = True) -> None:
        pattern = rule.event_pattern.get_pattern()
        if rule.state != "ENABLED" or not pattern or _is_about_other_things(pattern, original_event):
            return
        if not rule.event_pattern.matches_event(_timed(original_event)):
            return
        others = []
        for target in list(rule.targets):
            if _sinks and target["Arn"].split(":")[2] in SERVICES:
                _sinks[-1](rule, copy.deepcopy(target), envelope(original_event))
            else:
                others.append(target)
        if others:
            rest = copy.copy(rule)
            rest.targets = others
            send_to_targets(rest, original_event, transform_input)

    return replace((Rule, "send_to_targets", deliver))


REPAIRS: tuple[Repair, ...] = (
    Repair(
        "eventbridge-unheard-events",
        "An event is copied and taken apart for each rule of its bus, however plainly it is about something else.",
        _install_unheard_events,
    ),
    Repair(
        "eventbridge-targets",
        "An event for a function or a state machine ends PutEvents with NotImplementedError; Input and InputPath are "
        "ignored; the account is missing in what targets get; disabled rules and rules with only a schedule match.",
        _install_targets,
    ),
    Repair(
        "eventbridge-direct-calls",
        "Every PutEvents within the process is signed, sent and taken apart as HTTP.",
        lambda: answer_directly("events", EventsHandler, {"PutEvents": "put_events"}),
    ),
)
