"""What becomes of the journal's stream on its way to the bus."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from apex.adapters.memory import MemoryDeadLetters
from apex.app.publish import LARGEST_ENTRY, Publishing, envelope_of, fitting, publish
from apex.observability import redirect_output
from apex.schema.events import JournalEvent, ToolResultReceived
from tests.unit.app.streams import ITEMS, FullQueue, ListeningBus, poisoned, record_of, records_of
from tests.unit.app.test_project import journal_of


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    previous = redirect_output(stream)
    yield stream
    redirect_output(previous)


def publishing(bus: Any = None, dead_letters: Any = None) -> Publishing:
    return Publishing(ITEMS, bus or ListeningBus(), dead_letters or MemoryDeadLetters())


def failures(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def seqs(bus: ListeningBus) -> list[int]:
    return [int(envelope.payload["seq"]) for envelope in bus.heard]


def test_every_event_becomes_an_envelope_in_order() -> None:
    events = journal_of("acme")
    to = publishing(bus := ListeningBus())

    assert failures(publish(records_of(events), to)) == []

    assert [envelope.event_id for envelope in bus.heard] == [event.event_id for event in events]


def test_a_record_that_cannot_be_read_is_set_aside_and_delays_nothing() -> None:
    records = records_of(journal_of("acme")[:5])
    records[2] = poisoned(records[2])
    to = publishing(bus := ListeningBus(), letters := MemoryDeadLetters())

    assert failures(publish(records, to)) == []

    assert seqs(bus) == [1, 2, 4, 5]
    (letter,) = letters.letters
    assert (letter["service"], letter["record"]) == ("publish-events", "3")
    assert letter["keys"] == records[2]["dynamodb"]["Keys"]
    assert "NoSuchEvent" not in json.dumps(letter), "the content stays where it is"


def test_a_record_that_cannot_even_be_set_aside_comes_again() -> None:
    records = records_of(journal_of("acme")[:3])
    records[1] = poisoned(records[1])
    to = publishing(bus := ListeningBus(), FullQueue())

    assert failures(publish(records, to)) == ["2"]
    assert seqs(bus) == [1, 3]


def test_a_record_under_the_key_of_another_workflow_is_not_published() -> None:
    events = journal_of("acme")
    record = record_of(events[0])
    record["dynamodb"]["Keys"] = record_of(journal_of("globex")[0])["dynamodb"]["Keys"]
    to = publishing(bus := ListeningBus(), letters := MemoryDeadLetters())

    assert failures(publish([record], to)) == []

    assert bus.heard == []
    assert len(letters.letters) == 1


def test_what_the_bus_did_not_take_comes_again_with_all_behind_it() -> None:
    to = publishing(ListeningBus(refused=[3]))

    assert failures(publish(records_of(journal_of("acme")[:5]), to)) == ["3"]


def test_removals_are_not_events() -> None:
    gone = {**record_of(journal_of("acme")[0]), "eventName": "REMOVE"}
    to = publishing(bus := ListeningBus())

    assert publish([gone], to) == {"batchItemFailures": []}
    assert bus.heard == []


def test_nothing_that_is_said_of_a_batch_mixes_tenants(stream: io.StringIO) -> None:
    acme, globex = journal_of("acme")[:3], journal_of("globex")[:3]
    mixed = [event for pair in zip(acme, globex, strict=True) for event in pair]
    records = records_of(mixed)
    records[1], records[4] = poisoned(records[1]), poisoned(records[4])

    publish(records, publishing())

    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    owners = {"acme": acme[0].workflow_id, "globex": globex[0].workflow_id}
    assert {line.get("tenant") for line in said} == {"acme", "globex"}
    for line in said:
        other = next(name for name in owners if name != line["tenant"])
        assert line["workflow_id"] == owners[line["tenant"]]
        assert other not in json.dumps(line)
        assert owners[other] not in json.dumps(line)
    published = {line["tenant"]: line["EventPublished"] for line in said if "EventPublished" in line}
    assert published == {"acme": [2.0], "globex": [2.0]}
    assert {line["tenant"]: line["RecordSetAside"] for line in said if "RecordSetAside" in line} == {
        "acme": [1.0],
        "globex": [1.0],
    }
    dimensions = [
        name for line in said if "_aws" in line for name in line["_aws"]["CloudWatchMetrics"][0]["Dimensions"]
    ]
    assert dimensions
    assert all("tenant" not in names for names in dimensions)


def large(event: JournalEvent, size: int) -> ToolResultReceived:
    assert isinstance(event, ToolResultReceived)
    return event.model_copy(update={"result": {"text": "x" * size}})


def test_an_event_that_the_bus_would_refuse_is_told_without_its_largest_part() -> None:
    result = next(event for event in journal_of("acme", "completed") if isinstance(event, ToolResultReceived))
    whole = envelope_of(large(result, 1000))
    assert fitting(whole) is whole

    told = fitting(envelope_of(large(result, LARGEST_ENTRY)))

    assert len(json.dumps(told.to_wire()).encode()) <= LARGEST_ENTRY
    assert list(told.payload["omitted"]) == ["result"]
    assert "result" not in told.payload
    assert told.payload["seq"] == result.seq
    assert told.event_id == result.event_id
