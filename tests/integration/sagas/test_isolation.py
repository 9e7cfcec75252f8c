"""Tenants with the same key and hostile names: nobody sees, stops or changes anything of somebody else."""

import json
from typing import Any

import pytest

from apex.adapters.dynamodb.tables import tenant_key
from apex.app.rollback import start_rollback
from apex.errors import ApexError, WorkflowNotFound
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Failure, Mode
from tests.integration.sagas.conftest import Run, System, step

# Names that would meet if they were put together carelessly: separators, encodings, prefixes, expressions, paths.
TENANTS = (
    "acme",
    "ACME",
    "acme#",
    "acme#w",
    "acme%23",
    "acme%2523",
    "acme/../globex",
    "../acme",
    "ac",
    "acmé",
    "acme\u0301",
    "{% $states.context.Execution.Input.tenant %}",
    "{{s1.record_id}}",
    '"],["acme',
    "${AgentWorkflowMachine}",
    "*",
)
LARGE = "word " * 10_000


def secret_of(tenant: str) -> str:
    """What only this tenant may see."""
    return f"secret {TENANTS.index(tenant)}"


def plan(tenant: str) -> dict[str, Any]:
    """A note in a collection of the same name, and an answer so large that it is kept in the bucket."""
    note = step("s1", "create_record", collection="notes", data={"text": secret_of(tenant)})
    return {"steps": [note, step("s2", "respond_to_user", "s1", message=secret_of(tenant) + LARGE)]}


@pytest.fixture(scope="module")
def runs(running: System) -> dict[str, Run]:
    """All tenants at once, with the same key."""
    refs = {
        tenant: running.submit("keep my secret", plan=plan(tenant), key="same", tenant=tenant) for tenant in TENANTS
    }
    return {tenant: running.wait(ref) for tenant, ref in refs.items()}


def test_the_same_key_of_two_tenants_is_two_workflows_that_both_complete(runs: dict[str, Run]) -> None:
    assert {run.head.mode for run in runs.values()} == {Mode.COMPLETED}
    assert len({run.ref.workflow_id for run in runs.values()}) == len(TENANTS)


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_tenant_lists_its_own_workflows_only(running: System, runs: dict[str, Run], tenant: str) -> None:
    listed = running.session.house.store.workflows(tenant)

    assert [head.ref for head in listed] == [runs[tenant].ref]


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_workflow_is_of_one_tenant_from_end_to_end(runs: dict[str, Run], tenant: str) -> None:
    run = runs[tenant]

    assert {event.tenant_id for event in run.events} == {tenant}
    assert run.of_type("WorkflowCompleted")[0].final_result == {"message": secret_of(tenant) + LARGE}


@pytest.mark.parametrize("tenant", TENANTS)
def test_nothing_of_others_is_found_under_their_ids(running: System, runs: dict[str, Run], tenant: str) -> None:
    store = running.session.house.store
    for other, run in runs.items():
        if other == tenant:
            continue
        foreign = WorkflowRef(tenant, run.ref.workflow_id)
        with pytest.raises(WorkflowNotFound):
            store.head(foreign)
        assert list(store.events(foreign)) == []
        assert (store.steps(foreign), store.entries(foreign)) == ([], {})
        note = run.of_type("ToolResultReceived")[0].result["record_id"]
        assert store.read_record("records", other, f"notes#{note}") == {"text": secret_of(other)}
        assert store.read_record("records", tenant, f"notes#{note}") is None


def test_nobody_rolls_back_what_is_somebody_elses(running: System, runs: dict[str, Run]) -> None:
    stranger = WorkflowRef("ac", runs["acme"].ref.workflow_id)

    with pytest.raises(WorkflowNotFound):
        start_rollback(running.session.house, stranger, 1, Failure(error="E", message="mine now"), "operator")

    assert running.session.house.store.head(runs["acme"].ref) == runs["acme"].head


def test_a_search_finds_no_rows_of_other_tenants(system: System, runs: dict[str, Run]) -> None:
    note = runs["acme"].of_type("ToolResultReceived")[0].result["record_id"]
    look = {"steps": [step("s1", "search_database", collection="notes", key=note)]}

    own, foreign = (system.run("look", plan=look, tenant=tenant) for tenant in ("acme", "ac"))

    assert own.head.mode is Mode.COMPLETED
    assert foreign.head.mode is Mode.FAILED
    assert foreign.states == {"s1": EffectState.REJECTED}


def test_objects_lie_under_the_name_of_their_tenant_alone(running: System, runs: dict[str, Run]) -> None:
    """The part before the first slash is the tenant, so an access policy can be written for it."""
    client = running.session.cloud.client("s3")
    bucket = running.session.cloud.outputs["PayloadBucket"]
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    by_workflow = {run.ref.workflow_id: tenant_key(tenant) for tenant, run in runs.items()}
    owners = {}
    for key in keys:
        tenant, workflow_id, *_ = key.split("/")
        if workflow_id in by_workflow:
            owners[workflow_id] = tenant

    assert owners == by_workflow
    assert len(set(by_workflow.values())) == len(TENANTS)


def test_keys_handed_to_providers_are_not_shared(runs: dict[str, Run]) -> None:
    keys = [event.idempotency_key for run in runs.values() for event in run.of_type("ToolCallRequested")]

    assert len(set(keys)) == len(keys) == 2 * len(TENANTS)


def test_executions_carry_a_hostile_name_as_plain_data(running: System, runs: dict[str, Run]) -> None:
    for tenant, run in runs.items():
        started = running.session.history(run.ref)[0]
        given = json.loads(started["executionStartedEventDetails"]["input"])
        assert given == {"tenant": tenant, "workflow_id": run.ref.workflow_id, "generation": 1}


@pytest.mark.parametrize("tenant", ["", " ", "\t\n"])
def test_nobody_is_nobody(running: System, tenant: str) -> None:
    """A blank tenant would reach across all others, or could not be told of on the bus."""
    with pytest.raises(ApexError, match="APX-1000"):
        running.submit("keep my secret", plan=plan("acme"), tenant=tenant)


def test_log_lines_name_the_tenant_whose_work_they_are_about(running: System, runs: dict[str, Run]) -> None:
    by_workflow = {run.ref.workflow_id: tenant for tenant, run in runs.items()}
    seen = set()
    for line in running.session.cloud.logs():
        if not line.text.startswith("{"):
            continue
        fields = json.loads(line.text)
        if fields.get("workflow_id") in by_workflow:
            assert fields["tenant"] == by_workflow[fields["workflow_id"]]
            seen.add(fields["tenant"])

    assert seen == set(TENANTS)
