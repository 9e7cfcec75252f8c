"""The journal's stream after a run, delivered as Lambda would: again, in disorder, poisoned, to both consumers."""

import io
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from apex.adapters.dynamodb.bodies import Bodies, Item
from apex.adapters.dynamodb.items import Items
from apex.adapters.eventbridge import EventBus
from apex.adapters.memory import MemoryDeadLetters, MemoryInstances
from apex.app.project import Projecting, project
from apex.app.publish import Publishing, publish
from apex.observability import redirect_output
from apex.workflow.instances import fold_summary
from infra.chaos.faults import Fault
from infra.chaos.simulation import Ran

_DELIVERIES = 50
_BATCH = 20

Record = dict[str, Any]
Consumer = Callable[[Sequence[Record]], dict[str, Any]]


class _Bus:
    """Stands in for a boto3 ``events`` client. Some events are not taken at first: as many as ``refuses``."""

    def __init__(self, refuses: int, draw: random.Random) -> None:
        self.taken: list[dict[str, Any]] = []
        self._refuses = refuses
        self._draw = draw

    def put_events(self, *, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
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
    draw = random.Random(ran.program.seed)  # noqa: S311 - reproducible on purpose
    again = ran.plot.strikes(Fault.STREAM_REDELIVERED) is not None
    records = [_record(at, item) for at, item in enumerate(ran.watch.records)]
    if records and ran.plot.strikes(Fault.STREAM_POISONED):
        poison = _record(len(records), {**ran.watch.records[0], "body": {"S": '{"type": "NoSuchEvent"}'}})
        records.insert(draw.randrange(len(records) + 1), poison)
    poisoned = len(records) - len(ran.watch.records)
    before = redirect_output(io.StringIO())  # what is set aside is logged as an error, and it should be
    try:
        return [
            *_problems_of_bus(ran, records, poisoned, draw, again=again),
            *_problems_of_rows(ran, records, poisoned, draw, again=again),
        ]
    finally:
        redirect_output(before)


def _problems_of_bus(
    ran: Ran, records: Sequence[Record], poisoned: int, draw: random.Random, *, again: bool
) -> list[str]:
    """A reader of the bus that goes by the events' ids and numbers ends up with the journal, however they came."""
    letters, bus = MemoryDeadLetters(), _Bus(3 if again else 0, draw)
    to = Publishing(_items(ran), EventBus(bus, "bus"), letters)
    problems = _deliver(records, lambda batch: publish(batch, to))
    if again:
        problems += _deliver(records[draw.randrange(len(records)) :] if records else [], lambda b: publish(b, to))
        draw.shuffle(bus.taken)
    elif len(letters.letters) != poisoned:
        problems.append(f"{len(letters.letters)} records were set aside, {poisoned} are poisoned")
    read: dict[str, dict[int, str]] = {}
    for envelope in bus.taken:
        payload = envelope["payload"]
        read.setdefault(payload["workflow_id"], {})[payload["seq"]] = envelope["eventId"]
    for ref in ran.refs:
        journal = {event.seq: event.event_id for event in ran.store.events(ref)} if ran.watch.head(ref) else {}
        if read.get(ref.workflow_id, {}) != journal:
            problems.append(f"a reader of the bus has {len(read.get(ref.workflow_id, {}))} of {len(journal)} events")
    return problems


def _problems_of_rows(
    ran: Ran, records: Sequence[Record], poisoned: int, draw: random.Random, *, again: bool
) -> list[str]:
    """The read model's rows are what folding the journals gives, whatever comes twice or out of order."""
    letters, instances = MemoryDeadLetters(), MemoryInstances()
    to = Projecting(_items(ran), instances, ran.store, letters)
    arriving = list(records)
    if again:
        arriving += draw.sample(arriving, len(arriving) // 2)
        draw.shuffle(arriving)
    problems = _deliver(arriving, lambda batch: project(batch, to))
    if not again and len(letters.letters) != poisoned:
        problems.append(f"{len(letters.letters)} records were set aside, {poisoned} are poisoned")
    for ref in ran.refs:
        if ran.watch.head(ref) is not None and instances.get(ref) != fold_summary(list(ran.store.events(ref)), None):
            problems.append(f"the read model of {ref.tenant} is not what its journal says")
    return problems


def _items(ran: Ran) -> Items:
    return Items(Bodies(ran.bucket, "payloads"))


def _record(at: int, item: Item) -> Record:
    keys = {"pk": item["pk"], "seq": item["seq"]}
    change = {"SequenceNumber": str(at + 1), "Keys": keys, "NewImage": item}
    return {"eventName": "INSERT", "dynamodb": change}


def _deliver(records: Sequence[Record], consume: Consumer) -> list[str]:
    """As an event source mapping does: batch by batch, from the first record on that failed once more."""
    for start in range(0, len(records), _BATCH):
        batch = list(records[start : start + _BATCH])
        for _ in range(_DELIVERIES):
            failed = {failure["itemIdentifier"] for failure in consume(batch)["batchItemFailures"]}
            if not failed:
                break
            first = next(at for at, record in enumerate(batch) if record["dynamodb"]["SequenceNumber"] in failed)
            batch = batch[first:]
        else:
            return [f"{len(batch)} records were delivered {_DELIVERIES} times in vain"]
    return []
