"""Running a step while others are at it: rollbacks, zombies, second callers, and faults at every point."""

from typing import Any

import pytest

from apex import faults
from apex.errors import (
    StepBusy,
    StepError,
    StepFenced,
    StepPaused,
    StepRejected,
    StepUnknown,
)
from apex.faults import FaultPoint, Reached
from apex.ports.store import RecordWrite
from apex.schema.ids import effect_key
from apex.schema.ledger import EffectState
from tests.unit.app.book import Killed, row_tool
from tests.unit.app.shops import row, shop
from tests.unit.app.world import LEASE, World, agrees

S = EffectState


# ── who may run ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_execution_of_another_generation_is_refused() -> None:
    world, book = shop()

    with pytest.raises(StepPaused):
        world.run(generation=2)

    assert book.calls == []
    assert world.kinds() == []


def test_once_rollback_has_begun_no_step_starts() -> None:
    world, book = shop()
    world.roll_back()

    for generation in (1, 2):
        with pytest.raises(StepPaused):
            world.run(generation=generation)

    assert book.calls == []
    assert world.kinds("s1") == []


def test_a_rollback_that_begins_between_reading_and_intent_stops_the_step() -> None:
    world, book = shop()

    def interrupt(reached: Reached) -> None:
        if reached.point is FaultPoint.BEFORE_INTENT:
            world.roll_back()

    with faults.injected(interrupt), pytest.raises(StepPaused):
        world.run()

    assert book.calls == []
    assert world.state() is S.NONE


def open_the_door(world: World) -> None:
    world.roll_back()


def test_an_outcome_is_recorded_although_rollback_has_begun_meanwhile() -> None:
    world, book = shop()
    book.during = lambda: open_the_door(world)

    assert world.run() == "confirmed"

    assert world.state() is S.CONFIRMED
    agrees(world)


def test_two_first_runs_at_once_are_one_effect_and_the_second_comes_again() -> None:
    world, book = shop()
    answers: list[str] = []

    def race(reached: Reached) -> None:
        if reached.point is FaultPoint.BEFORE_INTENT and not answers:
            answers.append("first")
            answers.append(world.run())

    with faults.injected(race), pytest.raises(StepBusy):
        world.run()

    assert answers == ["first", "confirmed"]
    assert len(book.requests("apply")) == 1
    assert world.run() == "confirmed"


def test_an_overtaken_attempt_cannot_overwrite_the_newer_one() -> None:
    world, book = shop(probe=True)
    newer: list[str] = []

    def overtake() -> None:
        world.clock.advance(LEASE)
        newer.append(world.run())

    book.during = overtake
    with pytest.raises(StepFenced):
        world.run()

    assert newer == ["confirmed"]
    assert world.state() is S.CONFIRMED
    assert len(book.effects) == 1
    agrees(world)


def test_a_step_that_was_undone_first_is_refused() -> None:
    world, book = shop()
    world.roll_back()
    assert world.undo() == "fenced"

    with pytest.raises(StepError):
        world.run(generation=2)

    assert book.calls == []
    assert world.state() is S.FENCED


# ── tools that own their table ──────────────────────────────────────────────────────────────────────────────


def test_row_and_ledger_are_written_together() -> None:
    world = World(row_tool())
    seqs: list[tuple[int, dict[str, Any] | None]] = []

    def watch(reached: Reached) -> None:
        seqs.append((world.head.seq, row(world)))

    with faults.injected(watch):
        world.run()

    assert row(world) == {"item": "lamp"}
    # The row appears with the very event that confirms the step, and not a moment before.
    assert seqs == [(2, None), (3, None), (3, None), (4, {"item": "lamp"})]


def test_a_crash_before_the_commit_leaves_neither_row_nor_doubt() -> None:
    world = World(row_tool())

    def die(reached: Reached) -> None:
        if reached.point is FaultPoint.AFTER_EFFECT:
            raise Killed

    with faults.injected(die), pytest.raises(Killed):
        world.run()
    assert row(world) is None

    world.clock.advance(LEASE)
    assert world.run() == "confirmed"
    assert row(world) == {"item": "lamp"}
    assert not world.entry().in_doubt


def test_a_zombie_cannot_write_its_row_after_the_fence() -> None:
    world = World(row_tool())

    def meanwhile(reached: Reached) -> None:
        if reached.point is FaultPoint.AFTER_EFFECT:
            world.clock.advance(LEASE)
            world.roll_back()
            assert world.undo() == "fenced"
            assert world.close() == "FAILED"

    with faults.injected(meanwhile), pytest.raises(StepFenced):
        world.run()

    assert row(world) is None
    assert (world.state(), world.head.mode.value) == (S.FENCED, "FAILED")
    agrees(world)


def test_a_row_that_is_there_already_is_a_rejection() -> None:
    world = World(row_tool())
    key = effect_key(world.ref.workflow_id, "s1", "run", 0)
    world.store.put_record(RecordWrite("records", "acme", key, {"item": "somebody else's"}))

    with pytest.raises(StepRejected):
        world.run()

    assert row(world) == {"item": "somebody else's"}
    assert world.state() is S.REJECTED


# ── fault points ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_passes_its_points_in_order() -> None:
    world, book = shop()
    reached: list[tuple[FaultPoint, int, EffectState, int]] = []

    def note(at: Reached) -> None:
        assert (at.step_id, at.tool) == ("s1", "order_item")
        reached.append((at.point, at.attempt, world.state(), len(book.effects)))

    with faults.injected(note):
        world.run()

    assert reached == [
        (FaultPoint.BEFORE_INTENT, 1, S.NONE, 0),
        (FaultPoint.AFTER_INTENT, 1, S.INTENDED, 0),
        (FaultPoint.AFTER_EFFECT, 1, S.INTENDED, 1),
        (FaultPoint.AFTER_OUTCOME, 1, S.CONFIRMED, 1),
    ]


@pytest.mark.parametrize(
    "point",
    [FaultPoint.BEFORE_INTENT, FaultPoint.AFTER_INTENT, FaultPoint.AFTER_EFFECT, FaultPoint.AFTER_OUTCOME],
)
@pytest.mark.parametrize("fault", [Killed(), ConnectionError("cut off")], ids=["killed", "failed"])
@pytest.mark.parametrize("probe", [True, False], ids=["probe", "no-probe"])
def test_a_fault_at_any_point_costs_time_and_never_a_second_effect(
    point: FaultPoint, fault: BaseException, probe: bool
) -> None:
    world, book = shop(probe=probe)
    fired: list[Reached] = []

    def strike(reached: Reached) -> None:
        if reached.point is point and not fired:
            fired.append(reached)
            raise fault

    with faults.injected(strike):
        with pytest.raises((Killed, ConnectionError, StepUnknown)):
            world.run()
        world.clock.advance(LEASE)
        assert world.run() == "confirmed"

    assert len(fired) == 1
    assert len(book.effects) == len(book.standing()) == 1
    agrees(world)
