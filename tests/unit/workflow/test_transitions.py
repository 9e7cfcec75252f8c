"""The transition table as it is written: closed, unambiguous, and with a way out of every state."""

import pytest

from apex.schema.ledger import EffectState
from apex.workflow.transitions import TRANSITIONS, Trigger, advance, target

_BY_ITSELF = {"run", "undo"}
_ENDS = {EffectState.FENCED, EffectState.COMPENSATED, EffectState.PARKED}


def test_each_change_leads_to_one_state_only() -> None:
    targets: dict[tuple[EffectState, Trigger], set[EffectState]] = {}
    for transition in TRANSITIONS:
        targets.setdefault((transition.source, transition.trigger), set()).add(transition.target)

    assert {change: found for change, found in targets.items() if len(found) > 1} == {}


@pytest.mark.parametrize("source", list(EffectState))
@pytest.mark.parametrize("trigger", list(Trigger))
def test_what_the_table_does_not_list_is_impossible(source: EffectState, trigger: Trigger) -> None:
    listed = [row.target for row in TRANSITIONS if (row.source, row.trigger) == (source, trigger)]

    if listed:
        assert advance(source, trigger) is target(source, trigger) is listed[0]
    else:
        assert target(source, trigger) is None
        with pytest.raises(ValueError, match=f"{source}.*{trigger.value}"):
            advance(source, trigger)


def test_every_row_says_who_may_and_on_what_condition() -> None:
    for row in TRANSITIONS:
        assert row.actor in {"run", "undo", "operator", "fork"}
        assert row.condition


def test_every_trigger_and_every_state_is_in_the_table() -> None:
    assert {row.trigger for row in TRANSITIONS} == set(Trigger)
    assert {row.target for row in TRANSITIONS} >= set(EffectState) - {EffectState.NONE}


@pytest.mark.parametrize("source", sorted(set(EffectState) - {EffectState.BORROWED}))
def test_rollback_brings_every_state_to_an_end_without_a_person(source: EffectState) -> None:
    seen, reached = set[EffectState](), {source}
    while reached - seen:
        seen |= reached
        reached = {row.target for row in TRANSITIONS if row.actor == "undo" and row.source in seen} | seen

    assert seen & _ENDS


def test_a_borrowed_effect_is_never_changed() -> None:
    assert [row for row in TRANSITIONS if row.source is EffectState.BORROWED] == []


def test_nothing_runs_again_after_its_rollback_unless_a_person_says_so() -> None:
    for row in TRANSITIONS:
        if row.source in {*_ENDS, EffectState.UNDOING} and row.actor in _BY_ITSELF:
            assert row.target is not EffectState.INTENDED, f"{row.source} --{row.trigger}--> {row.target}"


def test_an_effect_begins_only_with_an_intent_or_with_a_person_who_knows() -> None:
    """No way leads from nothing to CONFIRMED but through INTENDED: the journal always knows first."""
    ways = {row.source for row in TRANSITIONS if row.target is EffectState.CONFIRMED and row.trigger is Trigger.CONFIRM}

    assert ways <= {EffectState.INTENDED, EffectState.UNKNOWN}
    assert {row.source for row in TRANSITIONS if row.target is EffectState.COMPENSATED and row.actor == "undo"} == {
        EffectState.UNDOING
    }
