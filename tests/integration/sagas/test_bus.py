"""What the world is told: every journal event, in order, as an envelope of its tenant, and how executions end."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from apex.adapters.eventbridge import EventBus
from apex.schema.envelope import EventEnvelope, validate_envelope
from apex.schema.events import ENVELOPE_TYPES
from apex.schema.ids import WorkflowRef, execution_name
from apex.schema.ledger import Mode
from tests.integration.sagas.conftest import Run, System, note, step

TIME_SCALE = 0.05


@dataclass
class Ear:
    """A queue that a rule feeds, and everything it has heard."""

    system: System
    url: str
    heard: list[dict[str, Any]] = field(default_factory=list)

    def listen(self) -> list[dict[str, Any]]:
        """Everything heard so far."""
        self.system.session.cloud.drain()
        client = self.system.session.cloud.client("sqs")
        while messages := client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.heard.append(json.loads(message["Body"]))
                client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self.heard

    def envelopes(self, ref: WorkflowRef) -> list[EventEnvelope]:
        """What was told of one workflow, by number; each message is checked to be an envelope."""
        told = [validate_envelope(message["detail"]) for message in self.listen()]
        mine = [envelope for envelope in told if envelope.payload.get("workflow_id") == ref.workflow_id]
        # A bus delivers to its targets in no particular order; consumers go by the number, and so does this one.
        return sorted(mine, key=lambda envelope: int(envelope.payload["seq"]))


def ear(system: System, name: str, pattern: dict[str, Any], bus: str = "default") -> Ear:
    """A rule of that name on a bus, and the queue it feeds."""
    sqs, events = system.session.cloud.client("sqs"), system.session.cloud.client("events")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), EventBusName=bus)
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return Ear(system, url)


@pytest.fixture(scope="module")
def journal_ear(running: System) -> Ear:
    """Hears everything that the orchestrator says."""
    return ear(running, "all-journals", {"source": ["apex.orchestrator"]}, running.session.cloud.outputs["EventBus"])


@pytest.fixture(scope="module")
def status_ear(running: System) -> Ear:
    """Hears how executions go."""
    pattern = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"]}
    return ear(running, "all-executions", pattern)


@pytest.fixture(scope="module")
def runs(running: System, journal_ear: Ear, status_ear: Ear) -> Iterator[dict[str, Run]]:
    """One workflow of each ending, run by two tenants."""
    ears = (journal_ear, status_ear)
    assert all(not heard.listen() for heard in ears)
    running.fault("hotels", operation="cancel", mode="error_before", times=None)
    stay = step("s1", "reserve_hotel", near="the Opera", check_in="2031-01-01", guest="Ana Ruiz")
    too_much = step("s2", "charge_payment", "s1", amount="9000.00", card="card-on-file")
    yield {
        "completed": running.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]}),
        "failed": running.run("too much", plan={"steps": [note("s1"), {**too_much}]}, tenant="globex"),
        "parked": running.run("stuck", plan={"steps": [stay, too_much]}, tenant="globex"),
    }
    running.ask("hotels", "/reset", {})


ENDINGS = pytest.mark.parametrize("ending", ["completed", "failed", "parked"])


@ENDINGS
def test_every_journal_event_arrives_once(runs: dict[str, Run], journal_ear: Ear, ending: str) -> None:
    run = runs[ending]
    assert run.head.mode is Mode[ending.upper()]

    told = journal_ear.envelopes(run.ref)

    assert [envelope.event_id for envelope in told] == [event.event_id for event in run.events]
    assert [envelope.payload["seq"] for envelope in told] == list(range(1, run.head.seq + 1))


@ENDINGS
def test_an_envelope_tells_what_the_journal_says_and_whose_it_is(
    runs: dict[str, Run], journal_ear: Ear, ending: str
) -> None:
    run = runs[ending]

    for envelope, event in zip(journal_ear.envelopes(run.ref), run.events, strict=True):
        assert envelope.event_type == ENVELOPE_TYPES[event.type]
        assert envelope.tenant_id == run.ref.tenant
        assert envelope.correlation_id == event.correlation_id == run.head.correlation_id
        assert envelope.idempotency_key.startswith(f"{run.ref.tenant}-{envelope.event_type}-")
        # The journal keeps microseconds, the wire milliseconds.
        assert abs((envelope.occurred_at - event.timestamp).total_seconds()) < 0.001
        told = {name: value for name, value in event.model_dump(mode="json").items() if name in envelope.payload}
        assert envelope.payload == told
        assert {"workflow_id", "seq"} <= set(told)


def test_a_message_says_in_its_headline_what_it_is_about(runs: dict[str, Run], journal_ear: Ear) -> None:
    for message in journal_ear.listen():
        assert message["source"] == "apex.orchestrator"
        assert message["detail-type"] == message["detail"]["eventType"]
    assert {message["detail"]["tenantId"] for message in journal_ear.listen()} == {"acme", "globex"}


def test_a_rule_for_one_tenant_hears_no_other(running: System, runs: dict[str, Run]) -> None:
    bus = running.session.cloud.outputs["EventBus"]
    own = ear(running, "globex-only", {"detail": {"tenantId": ["globex"]}}, bus)

    ran = running.run("a note", plan={"steps": [note("s1")]}, tenant="globex")
    running.run("a note", plan={"steps": [note("s1")]}, tenant="acme")

    assert [envelope.event_id for envelope in own.envelopes(ran.ref)] == [event.event_id for event in ran.events]
    assert {message["detail"]["tenantId"] for message in own.listen()} == {"globex"}


def test_events_are_put_on_the_bus_in_the_order_of_their_journal(
    running: System, journal_ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, lock = EventBus.publish, threading.Lock()
    put: dict[str, list[int]] = {}

    def noting(self: EventBus, envelopes: Sequence[EventEnvelope]) -> list[bool]:
        with lock:
            for envelope in envelopes:
                put.setdefault(str(envelope.payload["workflow_id"]), []).append(int(envelope.payload["seq"]))
        return publish(self, envelopes)

    monkeypatch.setattr(EventBus, "publish", noting)
    plan = {"steps": [note(f"s{n}") for n in range(5)]}
    refs = [running.submit("five notes", plan=plan) for _ in range(6)]
    ended = [running.wait(ref) for ref in refs]
    running.session.cloud.drain()

    for run in ended:
        assert put[run.ref.workflow_id] == list(range(1, run.head.seq + 1))
        assert len(journal_ear.envelopes(run.ref)) == run.head.seq


@ENDINGS
def test_the_end_of_every_execution_is_told(runs: dict[str, Run], status_ear: Ear, ending: str) -> None:
    run = runs[ending]
    expected = {execution_name(run.ref.workflow_id, 1): "SUCCEEDED" if ending == "completed" else "FAILED"}
    if ending != "completed":
        expected[execution_name(run.ref.workflow_id, 2, rollback=True)] = "SUCCEEDED"

    told: dict[str, list[str]] = {}
    for message in status_ear.listen():
        detail = message["detail"]
        given = json.loads(detail["input"])
        if given["workflow_id"] == run.ref.workflow_id:
            told.setdefault(detail["name"], []).append(detail["status"])
            assert given["tenant"] == run.ref.tenant
            assert message["resources"] == [detail["executionArn"]]

    assert {name: sorted(statuses) for name, statuses in told.items()} == {
        name: sorted(["RUNNING", status]) for name, status in expected.items()
    }


def test_a_large_result_is_told_by_its_event_although_it_is_kept_elsewhere(running: System, journal_ear: Ear) -> None:
    """The bus takes 256 KiB; this is far below it and above what an item of the journal keeps inline."""
    long_text = "word " * 10_000
    run = running.run("say a lot", plan={"steps": [step("s1", "respond_to_user", message=long_text)]})

    told = journal_ear.envelopes(run.ref)

    assert [envelope.event_id for envelope in told] == [event.event_id for event in run.events]
    assert told[-1].payload["final_result"] == {"message": long_text}


def test_a_bus_that_fails_for_a_moment_loses_nothing(
    running: System, journal_ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, lock = EventBus.publish, threading.Lock()
    failed: list[int] = []

    def fail_twice(self: EventBus, envelopes: Sequence[EventEnvelope]) -> list[bool]:
        with lock:
            fails = len(failed) < 2
            if fails:
                failed.append(len(envelopes))
        return [False] * len(envelopes) if fails else publish(self, envelopes)

    monkeypatch.setattr(EventBus, "publish", fail_twice)
    run = running.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]})
    running.eventually(lambda: len(journal_ear.envelopes(run.ref)) >= run.head.seq)

    assert len(failed) == 2
    # At least once: a batch of which a part was taken may come again, under the same event id.
    told = {envelope.event_id: envelope.payload["seq"] for envelope in journal_ear.envelopes(run.ref)}
    assert sorted(told.values()) == list(range(1, run.head.seq + 1))
