"""The tables, defined once: the CDK app, the local cloud and the tests all create them from here.

``journal``  one item per event: ``pk`` = workflow key, ``seq`` = 1, 2, 3 ... without gaps.
``state``    the head, the plan, and one specification and one ledger item per step, all under the workflow key.
``workflow_instances``  the read model: one item per workflow, folded from the journal by a consumer of its stream.
``records``  rows owned by the ``create_record`` tool, written in the same transaction as its ledger change.

The workflow key is ``<tenant>#<workflow_id>`` with the tenant percent-encoded, so that one tenant's keys are exactly
those with the leading text ``<tenant>#`` and an access policy can say so.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

from apex.errors import InvalidInput
from apex.schema.ids import WorkflowRef


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """A global secondary index holding keys only: a list is resolved by reading the items themselves."""

    name: str
    partition_key: str
    sort_key: str


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One DynamoDB table; keys are strings, except a numeric sort key where ``sort_type`` is ``N``."""

    name: str
    partition_key: str
    sort_key: str
    sort_type: Literal["S", "N"] = "S"
    stream: bool = False
    indexes: tuple[IndexSpec, ...] = ()
    ttl_attribute: str | None = None


JOURNAL = TableSpec("journal", "pk", "seq", sort_type="N", stream=True)
STATE = TableSpec(
    "state",
    "pk",
    "sk",
    indexes=(IndexSpec("by_tenant", "tenant_pk", "created_sk"), IndexSpec("by_open", "open_pk", "created_sk")),
)
RECORDS = TableSpec("records", "pk", "sk")
INSTANCES = TableSpec("workflow_instances", "pk", "sk", indexes=(IndexSpec("by_tenant", "tenant_pk", "created_sk"),))

TABLES: tuple[TableSpec, ...] = (JOURNAL, STATE, RECORDS, INSTANCES)


def tenant_key(tenant: str) -> str:
    """The tenant as it appears in keys; two tenants never share a prefix up to and including ``#``.

    Raises ``InvalidInput`` for an empty tenant: an empty key part would reach across tenants.
    """
    if not tenant:
        raise InvalidInput("the tenant is empty")
    return quote(tenant, safe="")


def workflow_key(tenant: str, workflow_id: str) -> str:
    """Partition key of everything that belongs to one workflow."""
    return f"{tenant_key(tenant)}#{workflow_id}"


def workflow_of(key: str) -> WorkflowRef:
    """The workflow that a partition key belongs to."""
    tenant, _, workflow_id = key.rpartition("#")
    return WorkflowRef(unquote(tenant), workflow_id)
