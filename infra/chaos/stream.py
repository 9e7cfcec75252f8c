"""The journal's stream after a run: delivered as Lambda would, with redelivery, disorder and poison, and what comes of it."""

import json
import random
from collections.abc import Sequence
from typing import Any, TextIO

from apex.adapters.dynamodb.bodies import Bodies, Item
from apex.adapters.dynamodb.items import Items
from apex.adapters.eventbridge import EventBus
from apex.app.publish import publish
from apex.observability import redirect_output
from infra.chaos.faults import Fault
from infra.chaos.simulation import Ran

_RETRIES = 2
_BATCH = 20


class _Nowhere(TextIO):
    """Takes log lines and keeps none: a poisoned record is reported as an error, as it should be."""

    def write(self, text: str) -> int:
        """Nothing is kept."""
        return len(text)

    def flush(self) -> None:
        """Nothing to do."""


class _Bus:
    """Stands in for a boto3 ``events`` client. ``refuses`` events are not taken at first."""

    def __init__(self, refuses: int, draw: random.Random) -> None:
        self.taken: list[dict[str, Any]] = []
        self._refuses = refuses
        self._draw = draw

    def put_events(self, *, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Take the events, or some of them."""
        answers: list[dict[str, Any]] = []
        for entry in Entries:
            if self._refuses and self._draw.random() < 0.5:
                self._refuses -= 1
                answers.append({"ErrorCode": "ThrottlingException"})
                continue
            self.taken.append(json.loads(entry["Detail"]))
            answers.append({"EventId": "e"})
        return {"Entries": answers}


def stream_problems(ran: Ran) -> list[str]:
    """Deliver everything that the journal holds; answers what its readers would miss or get wrong."""
    ran.plot.over = False
    draw = random.Random(ran.program.seed)  # noqa: S311 - reproducible on purpose
    redelivered = ran.plot.strikes(Fault.STREAM_REDELIVERED) is not None
    bus = _Bus(3 if redelivered else 0, draw)
    records = [_record(at, item) for at, item in enumerate(ran.watch.records)]
    poison = None
    if records and ran.plot.strikes(Fault.STREAM_POISONED):
        poison = _record(len(records), {**ran.watch.records[0], "body": {"S": '{"type": "NoSuchEvent"}'}})
        records.insert(draw.randrange(len(records) + 1), poison)
    before = redirect_output(_Nowhere())
    try:
        items = Items(Bodies(ran.bucket, "payloads"))
        dead = _deliver_all(records, items, bus)
        if redelivered:
            again = records[draw.randrange(len(records)) :] if records else []
            dead += _deliver_all([record for record in again if record is not poison], items, bus)
    finally:
        redirect_output(before)
    if redelivered:
        draw.shuffle(bus.taken)
    problems = [] if dead == ([poison] if poison else []) else [f"{len(dead)} records were given up"]
    return problems + _reader_problems(ran, bus.taken)


def _record(at: int, item: Item) -> dict[str, Any]:
    return {"eventName": "INSERT", "dynamodb": {"SequenceNumber": str(at + 1), "NewImage": item}}


def _deliver_all(records: Sequence[dict[str, Any]], items: Items, bus: _Bus) -> list[dict[str, Any]]:
    """As an event source mapping does: batches, bisected where they fail, given up after a few tries."""
    dead: list[dict[str, Any]] = []
    pieces = [(list(records[start : start + _BATCH]), 0) for start in range(0, len(records), _BATCH)]
    while pieces:
        batch, tries = pieces.pop(0)
        failed = publish(batch, items, EventBus(bus, "bus"))["batchItemFailures"]
        if not failed:
            continue
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        left = batch[numbers.index(failed[0]["itemIdentifier"]) :]
        if len(left) > 1 and len(left) == len(batch):
            half = len(left) // 2
            pieces[:0] = [(left[:half], tries), (left[half:], tries)]
        elif len(left) == 1 and tries >= _RETRIES:
            dead += left
        else:
            pieces.insert(0, (left, tries + 1 if len(left) == 1 else tries))
    return dead


def _reader_problems(ran: Ran, envelopes: Sequence[dict[str, Any]]) -> list[str]:
    """A reader that goes by the events' ids and numbers ends up with the journal, however they came."""
    read: dict[str, dict[int, str]] = {}
    for envelope in envelopes:
        payload = envelope["payload"]
        read.setdefault(payload["workflow_id"], {})[payload["seq"]] = envelope["eventId"]
    problems = []
    for ref in ran.refs:
        if ran.watch.head(ref) is None:
            continue
        journal = {event.seq: event.event_id for event in ran.store.events(ref)}
        if read.get(ref.workflow_id, {}) != journal:
            problems.append(f"a reader of the bus has {len(read.get(ref.workflow_id, {}))} of {len(journal)} events")
    return problems
