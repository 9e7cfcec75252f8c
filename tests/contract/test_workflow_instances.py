"""What every adapter of the read model does, in memory and on DynamoDB."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws

from apex.adapters.dynamodb.bodies import Bodies
from apex.adapters.dynamodb.instances import INLINE_LIMIT, DynamoInstances
from apex.adapters.dynamodb.tables import INSTANCES, workflow_key
from apex.adapters.memory import MemoryInstances
from apex.errors import InvalidInput
from apex.ports import WorkflowInstances
from apex.schema.ids import WorkflowRef
from apex.schema.plan import Step
from apex.workflow.fold import StepState, WorkflowState, fold
from apex.workflow.instances import summary
from tests.contract.test_workflow_store import create_table
from tests.golden.samples import recorded

LARGE = 1000
"""Steps of the largest plan that is accepted."""


@pytest.fixture(scope="module")
def aws() -> Iterator[tuple[Any, Any]]:
    with mock_aws():
        client, s3 = boto3.client("dynamodb", region_name="us-east-1"), boto3.client("s3", region_name="us-east-1")
        create_table(client, INSTANCES)
        s3.create_bucket(Bucket="payloads")
        yield client, s3


def on_dynamodb(aws: tuple[Any, Any], inline_limit: int = INLINE_LIMIT) -> DynamoInstances:
    return DynamoInstances(aws[0], "workflow_instances", Bodies(aws[1], "payloads", inline_limit=inline_limit))


@pytest.fixture(params=["memory", "dynamodb"])
def instances(request: pytest.FixtureRequest) -> WorkflowInstances:
    if request.param == "memory":
        return MemoryInstances()
    return on_dynamodb(request.getfixturevalue("aws"))


def row(name: str = "completed", tenant: str | None = None, **changes: Any) -> WorkflowState:
    state = summary(fold(recorded()[name]))
    identity = {"tenant": tenant or f"tenant-{uuid4()}", "workflow_id": str(uuid4())}
    return state.model_copy(update={**identity, **changes})


def ref_of(kept: WorkflowState) -> WorkflowRef:
    return WorkflowRef(kept.tenant, kept.workflow_id)


@pytest.mark.parametrize("name", sorted(recorded()))
def test_what_is_kept_is_read_back(instances: WorkflowInstances, name: str) -> None:
    kept = row(name)

    assert instances.get(ref_of(kept)) is None
    assert instances.put(kept, after=0)
    assert instances.get(ref_of(kept)) == kept


def test_a_row_is_replaced_only_by_the_one_that_follows_it(instances: WorkflowInstances) -> None:
    first = row(seq=3)
    assert instances.put(first, after=0)

    second = first.model_copy(update={"seq": 5})
    assert not instances.put(second, after=0), "there is one already"
    assert not instances.put(second, after=4), "it is not the one that was read"
    assert instances.get(ref_of(first)) == first
    assert instances.put(second, after=3)
    assert not instances.put(second, after=3), "twice is once"
    assert instances.get(ref_of(first)) == second


def test_of_two_writers_one_wins(instances: WorkflowInstances) -> None:
    first = row(seq=1)
    instances.put(first, after=0)
    won: list[bool] = []
    barrier = threading.Barrier(4)

    def write(seq: int) -> None:
        barrier.wait()
        won.append(instances.put(first.model_copy(update={"seq": seq}), after=1))

    threads = [threading.Thread(target=write, args=(seq,)) for seq in (2, 3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(won) == [False, False, False, True]


def test_a_tenants_workflows_are_listed_newest_first_and_nobody_elses(instances: WorkflowInstances) -> None:
    tenant = f"tenant-{uuid4()}"
    accepted = recorded()["completed"][0].timestamp
    rows = [row(tenant=tenant, accepted_at=accepted + timedelta(seconds=at)) for at in range(3)]
    for kept in (rows[1], rows[0], rows[2], row(tenant=f"{tenant}x")):
        instances.put(kept, after=0)

    assert instances.of_tenant(tenant) == rows[::-1]
    assert instances.of_tenant(tenant, limit=1) == [rows[2]]
    assert instances.of_tenant("nobody") == []
    with pytest.raises(InvalidInput):
        instances.of_tenant("")


def test_the_same_id_of_two_tenants_is_two_rows(instances: WorkflowInstances) -> None:
    one = row()
    other = one.model_copy(update={"tenant": f"{one.tenant}#", "goal": "another"})
    instances.put(one, after=0)
    instances.put(other, after=0)

    assert instances.get(ref_of(one)) == one
    assert instances.get(ref_of(other)) == other


def test_the_largest_plan_fits_into_an_item(aws: tuple[Any, Any]) -> None:
    steps = [f"a-step-with-quite-a-long-name-{at}" for at in range(LARGE)]
    finished = row("completed").steps[-1]
    kept = row(
        plan=tuple(
            Step(id=name, tool="charge_payment", depends_on=steps[at - 1 : at]) for at, name in enumerate(steps)
        ),
        steps=tuple(
            StepState(**{**finished.model_dump(), "step_id": name, "depends_on": steps[at - 1 : at]})
            for at, name in enumerate(steps)
        ),
    )
    stored = on_dynamodb(aws)
    assert stored.put(kept, after=0)

    assert stored.get(ref_of(kept)) == kept
    key = {"pk": {"S": workflow_key(kept.tenant, kept.workflow_id)}, "sk": {"S": "INSTANCE"}}
    item = aws[0].get_item(TableName="workflow_instances", Key=key)["Item"]
    assert len(str(item)) < 380_000


def test_what_is_larger_goes_to_the_bucket(aws: tuple[Any, Any]) -> None:
    kept = row()
    stored = on_dynamodb(aws, inline_limit=500)

    assert stored.put(kept, after=0)

    assert stored.get(ref_of(kept)) == kept
    assert aws[1].list_objects_v2(Bucket="payloads", Prefix=f"{kept.tenant}/")["KeyCount"] == 1
