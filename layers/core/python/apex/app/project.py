"""From the journal's stream to the read model: one row per workflow, whatever comes twice, late or out of order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from apex.adapters.dynamodb.items import Items
from apex.app.journal_records import UNREADABLE, Arrived, Batch
from apex.errors import StoreContended, StoreError
from apex.observability import count
from apex.ports.instances import DeadLetters, WorkflowInstances
from apex.ports.store import WorkflowStore
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from apex.workflow.instances import fold_summary

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Projecting:
    """What keeping the read model needs."""

    items: Items
    instances: WorkflowInstances
    journal: WorkflowStore
    dead_letters: DeadLetters


def project(records: Sequence[dict[str, Any]], to: Projecting) -> dict[str, Any]:
    """Bring the rows of all workflows of a batch up to date; answers ``{batchItemFailures}``. One workflow's trouble is
    not another's."""
    batch = Batch("project-events", records, to.items, to.dead_letters)
    for ref, mine in groupby(sorted(batch.arrived, key=_by_workflow), key=lambda arrived: arrived.ref):
        _project_one(batch, ref, list(mine), to)
    return batch.answer()


def _by_workflow(arrived: Arrived) -> tuple[WorkflowRef, int]:
    return arrived.ref, arrived.event.seq


def _project_one(batch: Batch, ref: WorkflowRef, arrived: Sequence[Arrived], to: Projecting) -> None:
    try:
        _bring_on(ref, {one.event.seq: one.event for one in arrived}, to)
    except StoreError as error:
        batch.come_again(min((one.number for one in arrived), key=int), ref, error)
    except UNREADABLE as problem:
        for one in arrived:
            batch.set_aside(one.number, ref, problem, tenant=ref.tenant, workflow_id=ref.workflow_id, seq=one.event.seq)
    else:
        with batch.on_behalf_of(ref):
            count("EventProjected", len(arrived))


def _bring_on(ref: WorkflowRef, arrived: dict[int, JournalEvent], to: Projecting) -> None:
    """Fold what follows the row as it is. Where events are missing in between the journal itself is asked: it is ahead
    of its stream, so the row is then complete at once, and the missing events change nothing when they come."""
    for _ in range(_TRIES):
        kept = to.instances.get(ref)
        after = 0 if kept is None else kept.seq
        fresh = [event for seq, event in sorted(arrived.items()) if seq > after]
        if not fresh:
            return
        if [event.seq for event in fresh] != list(range(after + 1, after + 1 + len(fresh))):
            fresh = list(to.journal.events(ref, after=after))
        if to.instances.put(fold_summary(fresh, kept), after=after):
            return
    raise StoreContended(f"the row of workflow {ref.workflow_id} changed {_TRIES} times meanwhile", tries=_TRIES)
