"""Journals that earlier versions wrote still fold to what they meant, and can be gone on with from any point."""

import json
from pathlib import Path
from typing import Any

import pytest

from apex.schema.events import ENVELOPE_TYPES, JournalEvent, event_from_dict
from apex.schema.ledger import EffectState, Mode
from apex.workflow.fold import WorkflowState, fold
from apex.workflow.waves import waves

JOURNALS = sorted((Path(__file__).parent / "journals").glob("*/*.json"))
DONE = {EffectState.CONFIRMED, EffectState.BORROWED}


def read(path: Path) -> tuple[list[JournalEvent], dict[str, Any]]:
    sample = json.loads(path.read_text(encoding="utf-8"))
    return [event_from_dict(event) for event in sample["events"]], sample["state"]


@pytest.fixture(params=JOURNALS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def journal(request: pytest.FixtureRequest) -> tuple[list[JournalEvent], dict[str, Any]]:
    """The events and the state they stood for when they were recorded."""
    return read(request.param)


def test_a_stored_journal_folds_to_the_state_it_stood_for(journal: tuple[list[JournalEvent], dict[str, Any]]) -> None:
    events, state = journal
    told = fold(events).model_dump(mode="json")
    # A later version may tell more; what was told then is told still.
    assert {name: told[name] for name in state if name != "steps"} == {
        name: value for name, value in state.items() if name != "steps"
    }
    for now, then in zip(told["steps"], state["steps"], strict=True):
        assert {name: now[name] for name in then} == then


def test_every_beginning_folds_and_the_rest_of_the_plan_can_be_run(
    journal: tuple[list[JournalEvent], dict[str, Any]],
) -> None:
    events, _ = journal
    state = WorkflowState()
    for event in events:
        state = fold([event], state)
        if state.status is Mode.RUNNING and state.plan:
            done = {step.step_id for step in state.steps if step.state in DONE or step.skipped}
            ahead = [step.id for wave in waves(state.plan, done) for step in wave]
            assert sorted([*ahead, *done]) == sorted(step.id for step in state.plan)


def test_a_stored_event_is_written_again_as_it_was(journal: tuple[list[JournalEvent], dict[str, Any]]) -> None:
    events, _ = journal
    for event in events:
        assert event_from_dict(event.model_dump(mode="json")) == event


def test_every_kind_of_event_is_among_the_samples_of_version_1() -> None:
    kinds = {event.type for path in JOURNALS if path.parent.name == "v1" for event in read(path)[0]}
    assert kinds == set(ENVELOPE_TYPES)
