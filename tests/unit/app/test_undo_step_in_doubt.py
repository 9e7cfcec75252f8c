"""Undoing a step that may have had its effect: never while something may still land or report, never by a guess."""

from datetime import timedelta
from typing import Any

import pytest

from apex import faults
from apex.errors import StepBusy, StepFenced, StepPaused, UndoFailed
from apex.faults import FaultPoint, Reached
from apex.ports.store import Change
from apex.schema.ledger import EffectState, Head
from apex.tools import UndoOfAbsent
from tests.unit.app.book import SETTLES, Killed, Trouble
from tests.unit.app.shops import abandoned, lost, shop
from tests.unit.app.world import LEASE, World, agrees

S = EffectState
A_MOMENT = timedelta(milliseconds=1)


# ── an effect that may exist ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("probe", [True, False], ids=["probe", "no-probe"])
@pytest.mark.parametrize("killed", [Trouble.KILLED_BEFORE, Trouble.KILLED_AFTER])
def test_an_attempt_that_may_be_at_work_is_waited_for(killed: Trouble, probe: bool) -> None:
    world, book = abandoned(killed, probe=probe)
    world.clock.advance(LEASE - A_MOMENT)

    with pytest.raises(StepBusy):
        world.undo()

    assert len(book.calls) == 1
    assert world.state() is S.INTENDED


def test_an_abandoned_effect_is_found_and_undone() -> None:
    world, book = abandoned(Trouble.KILLED_AFTER, probe=True)
    world.clock.advance(LEASE)

    assert world.undo() == "compensated"

    assert book.standing() == []
    assert world.kinds("s1") == [
        "ToolCallRequested",
        "ToolOutcomeUnknown",
        "CompensationStarted",
        "CompensationCompleted",
    ]
    agrees(world)


def test_a_lost_effect_is_found_and_undone_at_once() -> None:
    world, book = lost(Trouble.LOST_REPLY, probe=True)

    assert world.undo() == "compensated"

    assert (len(book.effects), book.standing()) == (1, [])
    agrees(world)


def test_what_the_provider_will_never_accept_is_fenced() -> None:
    world, book = lost(Trouble.LOST_REQUEST, probe=True)
    book.revoke(book.requests("apply")[0])

    assert world.undo() == "fenced"

    assert book.requests("undo") == []
    agrees(world)


def settled(world: World) -> None:
    """Move on until nothing can land any more; just before that an undo still waits."""
    world.clock.advance(LEASE + SETTLES - A_MOMENT)
    with pytest.raises(StepBusy):
        world.undo()
    assert world.state() is S.UNKNOWN
    world.clock.advance(A_MOMENT)


@pytest.mark.parametrize("probe", [True, False], ids=["probe", "no-probe"])
@pytest.mark.parametrize("fences", [True, False], ids=["fences", "tolerates"])
def test_what_nobody_has_seen_is_undone_once_nothing_can_land_any_more(probe: bool, fences: bool) -> None:
    world, book = lost(Trouble.LOST_REQUEST, probe=probe, fences=fences)
    settled(world)

    assert world.undo() == "compensated"

    assert book.effects == []
    assert book.revoked(book.requests("apply")[0]) is fences
    agrees(world)


@pytest.mark.parametrize("probe", [True, False], ids=["probe", "no-probe"])
def test_where_an_undo_of_nothing_would_fail_a_person_decides(probe: bool) -> None:
    world, book = lost(Trouble.LOST_REQUEST, probe=probe, undo_of_absent=UndoOfAbsent.FAILS)
    settled(world)

    assert world.undo() == "parked"

    assert book.requests("undo") == []
    assert world.close() == "PARKED"
    agrees(world)


@pytest.mark.parametrize("probe", [True, False], ids=["probe", "no-probe"])
@pytest.mark.parametrize("fences", [True, False], ids=["fences", "tolerates"])
@pytest.mark.parametrize("late", [Trouble.LATE_REQUEST, Trouble.KILLED_LATE])
def test_a_request_that_lands_while_rollback_waits_is_undone_too(late: Trouble, probe: bool, fences: bool) -> None:
    begin = lost if late is Trouble.LATE_REQUEST else abandoned
    world, book = begin(late, probe=probe, fences=fences)
    assert book.standing() == []

    assert world.finish_rollback() == "FAILED"

    world.clock.advance(timedelta(hours=48))
    assert (len(book.effects), book.standing()) == (1, [])
    assert world.state() is S.COMPENSATED
    agrees(world)


def test_a_tombstone_stops_a_request_that_is_later_than_it_may_be() -> None:
    world, book = lost(Trouble.LOST_REQUEST)
    settled(world)
    world.undo()

    book.arrive(book.requests("apply")[0])

    assert book.effects == []


@pytest.mark.parametrize("trouble", [Trouble.UNAVAILABLE, Trouble.LOST_REPLY, Trouble.REJECTED])
def test_a_probe_that_fails_decides_nothing(trouble: Trouble) -> None:
    world, book = lost(Trouble.LOST_REPLY, probe=True)
    book.next("find", trouble)
    before = world.head.seq

    with pytest.raises(UndoFailed):
        world.undo()

    assert (world.state(), world.head.seq) == (S.UNKNOWN, before)
    assert world.undo() == "compensated"


# ── who may undo, and who comes first ───────────────────────────────────────────────────────────────────────


def test_nothing_is_undone_while_the_workflow_runs() -> None:
    world, book = shop()
    world.run()

    with pytest.raises(StepPaused):
        world.undo()

    assert book.requests("undo") == []


@pytest.mark.parametrize("generation", [1, 3])
def test_only_the_rollback_of_this_generation_undoes(generation: int) -> None:
    world, book = shop()
    world.run()
    world.roll_back()

    with pytest.raises(StepPaused):
        world.undo(generation=generation)

    assert book.requests("undo") == []


def test_a_report_that_comes_just_before_the_step_is_given_up_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading and writing the undo is overtaken: it looks again, and undoes what it then finds."""
    world, book = shop()
    commit = world.store.commit
    report: list[tuple[Change, Head]] = []

    def hold_back(change: Change, head: Head, **kwargs: Any) -> Head:
        if change.events[0].type == "ToolResultReceived":  # type: ignore[attr-defined]
            report.append((change, head))
            raise Killed
        if change.events[0].type == "ToolOutcomeUnknown":  # type: ignore[attr-defined]
            commit(*report[0])
        return commit(change, head, **kwargs)

    monkeypatch.setattr(world.store, "commit", hold_back)
    with pytest.raises(Killed):
        world.run()
    world.roll_back()
    world.clock.advance(LEASE)

    with pytest.raises(StepBusy):
        world.undo()

    assert world.state() is S.CONFIRMED
    assert world.undo() == "compensated"
    assert book.standing() == []
    agrees(world)


def test_two_undos_at_once_are_one() -> None:
    world, book = shop()
    world.run()
    world.roll_back()
    answers: list[str] = []

    def race(reached: Reached) -> None:
        if reached.point is FaultPoint.BEFORE_UNDO and not answers:
            answers.append("first")
            answers.append(world.undo())

    with faults.injected(race), pytest.raises(StepBusy):
        world.undo()

    assert answers == ["first", "compensated"]
    assert len(book.requests("undo")) == 1
    assert world.undo() == "unchanged"


def test_an_outcome_that_comes_after_the_fence_cannot_overwrite_it() -> None:
    world, book = shop(probe=True)

    def meanwhile() -> None:
        book.next("find", Trouble.NONE)
        world.clock.advance(LEASE)
        world.roll_back()
        assert world.undo() == "compensated"

    book.during = meanwhile
    with pytest.raises(StepFenced):
        world.run()

    # What the attempt reports too late is for the next rollback to judge; here it may only leave nothing behind.
    if world.head.mode.value == "ROLLING_BACK":
        world.finish_rollback()
    assert book.standing() == []
    assert world.state() is S.COMPENSATED
    agrees(world)
