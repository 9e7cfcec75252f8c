"""The read model: whatever the stream does to the records, every row ends as the journal says."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.adapters.memory import MemoryDeadLetters, MemoryInstances, MemoryStore
from apex.app.project import Projecting, project
from apex.errors import StoreError
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Mode
from apex.workflow.fold import WorkflowState, fold
from apex.workflow.instances import fold_summary, instance_of, summary
from tests.golden.samples import recorded
from tests.unit.app.streams import ITEMS, FullQueue, poisoned, records_of

GOLDEN = recorded()
JOURNALS = sorted(GOLDEN)


@cache
def journal_of(tenant: str, name: str = "late_effect") -> tuple[JournalEvent, ...]:
    """A recorded journal as that tenant's."""
    return tuple(
        event.model_copy(update={"tenant_id": tenant, "workflow_id": f"{name}-of-{tenant}"}) for event in GOLDEN[name]
    )


class Journals(MemoryStore):
    """The journals as they stand: the stream can never be ahead of them."""

    def __init__(self, *journals: Sequence[JournalEvent]) -> None:
        super().__init__()
        for events in journals:
            self._journals[ref_of(events)] = list(events)


def ref_of(events: Sequence[JournalEvent]) -> WorkflowRef:
    return WorkflowRef(events[0].tenant_id, events[0].workflow_id)


def projecting(*journals: Sequence[JournalEvent], **parts: Any) -> Projecting:
    made: dict[str, Any] = {
        "items": ITEMS,
        "instances": MemoryInstances(),
        "journal": Journals(*journals),
        "dead_letters": MemoryDeadLetters(),
    }
    return Projecting(**{**made, **parts})


def failures(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def row(to: Projecting, events: Sequence[JournalEvent]) -> WorkflowState | None:
    return to.instances.get(ref_of(events))


@pytest.mark.parametrize("name", JOURNALS)
def test_a_row_is_what_the_journal_folds_to(name: str) -> None:
    events = journal_of("acme", name)
    to = projecting(events)

    assert failures(project(records_of(events), to)) == []

    assert row(to, events) == summary(fold(events))


@pytest.mark.parametrize("name", JOURNALS)
def test_folding_on_from_a_row_is_folding_the_whole_journal(name: str) -> None:
    events = GOLDEN[name]
    kept = None
    for at, event in enumerate(events, start=1):
        kept = fold_summary([event], kept)
        assert kept == summary(fold(events[:at]))
        assert WorkflowState.model_validate_json(kept.model_dump_json(exclude_defaults=True)) == kept


@given(st.data())
def test_any_redelivery_reordering_and_duplication_converges(data: st.DataObject) -> None:
    """Records of several workflows, cut into batches anywhere, each batch delivered once or more, in any order."""
    journals = [journal_of(tenant, data.draw(st.sampled_from(JOURNALS))) for tenant in ("acme", "globex")]
    records = records_of([event for events in journals for event in events])
    arriving = data.draw(st.permutations(records)) + data.draw(st.lists(st.sampled_from(records), max_size=20))
    to = projecting(*journals)

    while arriving:
        size = data.draw(st.integers(1, len(arriving)))
        batch, arriving = arriving[:size], arriving[size:]
        assert failures(project(batch, to)) == []

    for events in journals:
        assert row(to, events) == summary(fold(events))


@given(st.data())
def test_a_row_never_goes_back(data: st.DataObject) -> None:
    events = journal_of("acme")
    records = records_of(events)
    to = projecting(events)
    newest = 0
    for record in data.draw(st.lists(st.sampled_from(records), max_size=30)):
        project([record], to)
        kept = row(to, events)
        assert kept is not None
        assert kept.seq >= newest
        newest = kept.seq


def test_a_record_that_cannot_be_read_is_set_aside_and_delays_nothing() -> None:
    acme, globex = journal_of("acme"), journal_of("globex")
    records = records_of([*acme, *globex])
    records[3] = poisoned(records[3])
    to = projecting(acme, globex, dead_letters=(letters := MemoryDeadLetters()))

    assert failures(project(records, to)) == []

    assert [(letter["service"], letter["record"]) for letter in letters.letters] == [("project-events", "4")]
    # The journal itself is sound, so what the record would have said is read from there.
    assert row(to, acme) == summary(fold(acme))
    assert row(to, globex) == summary(fold(globex))


def test_a_journal_that_cannot_be_read_holds_up_no_other_workflow() -> None:
    acme, globex = journal_of("acme"), journal_of("globex")

    class Broken(Journals):
        def events(self, ref: WorkflowRef, after: int = 0) -> Any:
            if ref.tenant == "acme":
                raise ValueError("event 4 is no event")
            return super().events(ref, after)

    records = records_of([*acme, *globex])
    records[3] = poisoned(records[3])
    to = projecting(journal=Broken(acme, globex), dead_letters=(letters := MemoryDeadLetters()))

    assert failures(project(records, to)) == []

    assert row(to, globex) == summary(fold(globex))
    assert {letter.get("tenant", "acme") for letter in letters.letters} == {"acme"}
    assert len(letters.letters) == len(acme)


def test_a_table_that_does_not_answer_for_one_workflow_is_asked_again() -> None:
    acme, globex = journal_of("acme"), journal_of("globex")

    class Flaky(MemoryInstances):
        fails = True

        def put(self, kept: WorkflowState, *, after: int) -> bool:
            if self.fails and kept.tenant == "acme":
                raise StoreError("no answer came")
            return super().put(kept, after=after)

    to = projecting(acme, globex, instances=(instances := Flaky()))
    records = records_of([*acme, *globex])

    assert failures(project(records, to)) == ["1"]
    assert row(to, globex) == summary(fold(globex))
    instances.fails = False
    assert failures(project(records, to)) == []
    assert row(to, acme) == summary(fold(acme))


def test_a_letter_that_cannot_be_kept_comes_again() -> None:
    acme = journal_of("acme")
    records = records_of(acme)
    records[0] = poisoned(records[0])

    assert failures(project(records, projecting(acme, dead_letters=FullQueue()))) == ["1"]


def test_two_deliveries_at_once_leave_the_newer_row() -> None:
    """Between reading the row and writing it, somebody else brings it on."""
    events = journal_of("acme")

    class Overtaken(MemoryInstances):
        def get(self, ref: WorkflowRef) -> WorkflowState | None:
            kept = super().get(ref)
            if kept is not None and kept.seq == 2:
                assert super().put(fold_summary(events[2:6], kept), after=2)
            return kept

    to = projecting(events, instances=Overtaken())
    project(records_of(events[:2]), to)

    assert failures(project(records_of(events)[2:4], to)) == []
    assert row(to, events) == summary(fold(events[:6]))


def test_a_row_tells_what_a_list_shows() -> None:
    state = summary(fold(GOLDEN["parked"]))
    shown = instance_of(state)

    assert shown.status is Mode.PARKED
    assert shown.parked_steps == tuple(
        step.step_id for step in fold(GOLDEN["parked"]).steps if step.state is EffectState.PARKED
    )
    assert sum(shown.step_counts.values()) == len(shown.plan)
    assert shown.step_counts["PARKED"] == 1
    assert all(step.input == {} for step in shown.plan)
    assert all(step.result is None and step.input is None for step in shown.steps)
    assert shown.accepted_at is not None
    assert shown.ended_at is not None
