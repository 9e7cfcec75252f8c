"""The read model beside the running system: every row ends as its journal says, whatever happens to the stream."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from apex.adapters.dynamodb.bodies import Bodies
from apex.adapters.dynamodb.instances import DynamoInstances
from apex.adapters.dynamodb.tables import workflow_key
from apex.adapters.eventbridge import EventBus
from apex.errors import StoreError
from apex.schema.envelope import EventEnvelope
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Mode
from apex.workflow.fold import WorkflowState, fold
from apex.workflow.instances import instance_of, summary
from tests.integration.sagas.conftest import Run, System, note
from tests.integration.sagas.trouble import Proceed

TIME_SCALE = 0.05


def read_model(system: System) -> DynamoInstances:
    client = system.session.cloud.client
    bodies = Bodies(client("s3"), system.session.cloud.outputs["PayloadBucket"])
    return DynamoInstances(client("dynamodb"), system.session.cloud.outputs["WorkflowInstancesTable"], bodies)


def row(run: Run) -> WorkflowState | None:
    assert run.system.session.cloud.drain()
    return read_model(run.system).get(run.ref)


def messages(system: System, queue: str) -> list[dict[str, Any]]:
    sqs = system.session.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=f"apex-dev-{queue}")["QueueUrl"]
    found: list[dict[str, Any]] = []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in batch]
        for message in batch:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_a_completed_a_failed_and_a_parked_workflow_each_have_their_row(system: System) -> None:
    completed = system.trip()
    failed = system.trip(amount="$9,000")
    system.fault("hotels", operation="cancel", mode="error_before", times=5)
    parked = system.trip(amount="$9,000")

    for run in (completed, failed, parked):
        assert row(run) == summary(fold(run.events))
    shown = instance_of(row(parked) or WorkflowState())
    assert (shown.status, shown.parked_steps) == (Mode.PARKED, ("s4",))
    listed = [kept.workflow_id for kept in read_model(system).of_tenant("acme", limit=3)]
    assert listed == [parked.ref.workflow_id, failed.ref.workflow_id, completed.ref.workflow_id]


def test_inputs_and_results_are_not_copied_into_the_read_model(system: System) -> None:
    run = system.run("a secret note", plan={"steps": [note("s1", text="only-for-the-journal")]})
    assert row(run) is not None

    outputs, client = system.session.cloud.outputs, system.session.cloud.client("dynamodb")
    items = client.scan(TableName=outputs["WorkflowInstancesTable"])["Items"]
    assert "only-for-the-journal" not in json.dumps(items)


def test_batches_that_come_twice_and_the_other_way_round_change_nothing(system: System) -> None:
    kept: list[dict[str, Any]] = []

    def keep(function: str, event: dict[str, Any], proceed: Proceed) -> Any:
        if function == "apex-dev-project-events":
            kept.append(event)
        return proceed(event)

    system.interference.add(keep)
    run = system.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]})
    expected = row(run)

    client = system.session.cloud.client("lambda")
    for event in reversed(kept):
        for records in (event["Records"], event["Records"][::-1]):
            answer = client.invoke(FunctionName="apex-dev-project-events", Payload=json.dumps({"Records": records}))
            assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}

    assert row(run) == expected == summary(fold(run.events))


def test_an_answer_that_was_lost_after_the_row_was_written_is_made_good(system: System) -> None:
    lost: list[str] = []

    def lose(function: str, event: dict[str, Any], proceed: Proceed) -> Any:
        answer = proceed(event)
        if function == "apex-dev-project-events" and len(lost) < 2:
            lost.append(function)
            raise StoreError("the answer never came")
        return answer

    system.interference.add(lose)
    run = system.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]})

    assert row(run) == summary(fold(run.events))
    assert len(lost) == 2


def test_a_poisoned_record_delays_nothing_but_itself(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that is no event gets into the journal's table. It ends in both queues; everybody else goes on."""
    messages(system, "unpublished-events")
    messages(system, "unprojected-events")
    told: list[str] = []
    publish = EventBus.publish

    def noting(self: EventBus, envelopes: Sequence[EventEnvelope]) -> list[bool]:
        told.extend(str(envelope.payload["workflow_id"]) for envelope in envelopes)
        return publish(self, envelopes)

    monkeypatch.setattr(EventBus, "publish", noting)
    poisoned = WorkflowRef("acme", "a-poisoned-workflow")
    item = {
        "pk": {"S": workflow_key(poisoned.tenant, poisoned.workflow_id)},
        "seq": {"N": "1"},
        "event_id": {"S": "nobody"},
        "type": {"S": "NoSuchEvent"},
        "body": {"S": '{"type": "NoSuchEvent", "secret": "hunter2"}'},
    }
    client = system.session.cloud.client("dynamodb")
    client.put_item(TableName=system.session.cloud.outputs["JournalTable"], Item=item)

    run = system.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]})

    assert row(run) == summary(fold(run.events))
    assert read_model(system).get(poisoned) is None
    assert set(told) == {run.ref.workflow_id}
    assert len(told) == run.head.seq
    for queue, service in (("unpublished-events", "publish-events"), ("unprojected-events", "project-events")):
        (letter,) = messages(system, queue)
        assert letter["service"] == service
        assert letter["keys"] == {"pk": item["pk"], "seq": item["seq"]}
        assert "hunter2" not in json.dumps(letter)
