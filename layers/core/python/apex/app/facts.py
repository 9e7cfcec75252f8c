"""What every event says about its workflow and its moment."""

from datetime import datetime
from typing import Any

from apex.schema.ledger import Head


def stamp(head: Head, now: datetime) -> dict[str, Any]:
    """The common fields of an event of this workflow."""
    return {
        "timestamp": now,
        "correlation_id": head.correlation_id,
        "tenant_id": head.tenant,
        "workflow_id": head.workflow_id,
    }
