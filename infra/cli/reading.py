"""Reading a data directory: without a lock, also while another process writes to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from apex.errors import InvalidInput, WorkflowNotFound
from apex.ports.store import WorkflowStore
from apex.schema.ids import WorkflowRef

if TYPE_CHECKING:
    from apex.adapters.dynamodb.store import StoreNames
    from infra.local.durability import Snapshot

_ALL = 100_000
"""More workflows than a directory that fits into memory holds."""


@contextmanager
def open_store(data: Path | None) -> Iterator[WorkflowStore]:
    """The journal and ledger of a data directory as they are now.

    Raises ``InvalidInput`` where no directory is given, ``NotFound`` where it holds nothing.
    """
    if data is None:
        raise InvalidInput("say where the workflows are: --data DIR, or the variable APEX_DATA")
    # Imported only here: the imitation of AWS takes a second to load.
    import boto3

    from apex.adapters.clock import SystemClock
    from apex.adapters.dynamodb.store import DynamoStore
    from infra.local.durability import open_readonly
    from infra.local.surroundings import AWS_ENVIRONMENT, REGION, environment

    with environment(AWS_ENVIRONMENT), open_readonly(data) as snapshot:
        dynamodb, s3 = boto3.client("dynamodb", region_name=REGION), boto3.client("s3", region_name=REGION)
        yield DynamoStore(dynamodb, _names(snapshot), s3=s3, clock=SystemClock())


def _names(snapshot: "Snapshot") -> "StoreNames":
    from apex.adapters.dynamodb.store import StoreNames
    from infra.cloud.settings import Settings

    prefix = Settings().prefix
    return StoreNames(
        journal=f"{prefix}-journal",
        state=f"{prefix}-state",
        payload_bucket=snapshot.buckets.get("payloads"),
        records={"records": f"{prefix}-records"},
    )


def find_workflow(store: WorkflowStore, tenant: str, given: str) -> WorkflowRef:
    """The workflow with that id, or the only one whose id begins so.

    Raises ``WorkflowNotFound`` where there is none, ``InvalidInput`` where there are several.
    """
    wanted = given.strip().lower()
    if not wanted:
        raise InvalidInput("the workflow id is empty")
    if _is_whole(wanted):
        return store.head(WorkflowRef(tenant, wanted)).ref
    found = [head.ref for head in store.workflows(tenant, limit=_ALL) if head.workflow_id.startswith(wanted)]
    if not found:
        raise WorkflowNotFound(f"no workflow of tenant {tenant} has an id that begins with {given}")
    if len(found) > 1:
        some = ", ".join(sorted(ref.workflow_id for ref in found)[:5])
        raise InvalidInput(f"{len(found)} workflows have ids that begin with {given}: {some}")
    return found[0]


def _is_whole(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
