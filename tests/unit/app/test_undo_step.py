"""Undoing a step: never while something may still land, never twice, never by a guess. The book bears witness."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apex import faults
from apex.adapters.memory import ManualClock
from apex.errors import StepBusy, StepError, StepFenced, StepPaused, StepRejected, StepUnknown, UndoFailed
from apex.faults import FaultPoint, Reached
from apex.ports.store import Change
from apex.schema.ids import effect_key
from apex.schema.ledger import EffectState, Head
from apex.schema.plan import Step
from apex.tools import UndoOfAbsent
from tests.unit.app.book import A_DAY, SETTLES, Book, Killed, Order, Receipt, Trouble, look_tool, row_tool, shop_tool
from tests.unit.app.world import LEASE, AnyTool, World, agrees

S = EffectState
A_MOMENT = timedelta(milliseconds=1)


def shop(*, probe: bool = False, fences: bool = True, window: timedelta = A_DAY, **declared: Any) -> tuple[World, Book]:
    """A world with one step that orders an item."""
    book = Book(ManualClock(), window=window, fences=fences)
    return World(shop_tool(book, probe=probe, **declared), clock=book.clock), book


def lost(trouble: Trouble, **terms: Any) -> tuple[World, Book]:
    """The step's outcome is unknown, and the rollback has begun."""
    world, book = shop(**terms)
    book.next("apply", trouble)
    with pytest.raises(StepUnknown):
        world.run()
    world.roll_back()
    return world, book


def abandoned(trouble: Trouble, **terms: Any) -> tuple[World, Book]:
    """The attempt was killed and never reported, and the rollback has begun."""
    world, book = shop(**terms)
    book.next("apply", trouble)
    with pytest.raises(Killed):
        world.run()
    world.roll_back()
    return world, book


# ── what has no effect ──────────────────────────────────────────────────────────────────────────────────────


def test_undoing_what_never_happened_changes_nothing_and_leaves_a_fence() -> None:
    world, book = shop()
    world.roll_back()

    assert world.undo() == "fenced"
    assert world.undo() == "unchanged"

    assert book.calls == []
    assert (world.state(), world.kinds("s1")) == (S.FENCED, ["StepFenced"])
    agrees(world)


def test_a_rejected_step_is_fenced() -> None:
    world, book = shop()
    book.next("apply", Trouble.REJECTED)
    with pytest.raises(StepRejected):
        world.run()
    world.roll_back()

    assert world.undo() == "fenced"

    assert book.requests("undo") == []
    agrees(world)


def test_a_released_step_is_fenced_at_once() -> None:
    world, book = shop()
    book.next("apply", Trouble.UNAVAILABLE)
    with pytest.raises(StepError):
        world.run()
    world.roll_back()

    assert world.undo() == "fenced"

    assert book.requests("undo") == []
    agrees(world)


def test_a_look_is_not_undone_but_one_that_never_ended_is_fenced() -> None:
    """Otherwise a provider that is down for a search would leave the workflow parked for a person."""
    calls: list[int] = []

    def down() -> None:
        calls.append(1)
        if len(calls) > 1:
            raise ConnectionError("no answer")

    look = look_tool(down)
    world = World(look, steps=[Step(id="s1", tool="look_up"), Step(id="s2", tool="look_up")])
    world.run("s1")
    with pytest.raises(StepError):
        world.run("s2")
    world.roll_back()

    assert world.to_undo() == ["s2"]
    assert world.undo("s2") == "fenced"
    assert world.undo("s1") == "unchanged"
    assert world.close() == "FAILED"
    assert (world.state("s1"), world.state("s2")) == (S.CONFIRMED, S.FENCED)
    agrees(world)


# ── an effect that exists ───────────────────────────────────────────────────────────────────────────────────


def test_an_effect_is_undone_with_its_input_and_result() -> None:
    world, book = shop()
    given: list[Any] = []
    tool = world.registry["order_item"]
    act = tool.undo_function
    assert act is not None

    def watching(order: Order, receipt: Receipt | None, call: Any) -> None:
        given.extend((order, receipt))
        act(order, receipt, call)

    tool.undo_function = watching
    world.run()
    world.roll_back()

    assert world.undo() == "compensated"

    assert given == [Order(item="lamp"), Receipt(receipt="receipt-0")]
    assert book.standing() == []
    assert world.kinds("s1")[-2:] == ["CompensationStarted", "CompensationCompleted"]
    agrees(world)


def test_undoing_twice_is_undoing_once() -> None:
    world, book = shop()
    world.run()
    world.roll_back()
    world.undo()

    assert world.undo() == "unchanged"

    assert len(book.requests("undo")) == 1


def test_the_undo_has_a_key_of_its_own_that_stays_the_same() -> None:
    world, book = shop()
    world.run()
    world.roll_back()
    book.next("undo", Trouble.LOST_REPLY, Trouble.UNAVAILABLE)
    for _ in range(2):
        with pytest.raises(UndoFailed):
            world.undo()

    assert world.undo() == "compensated"

    keys = book.requests("undo")
    assert len(keys) == 3
    assert set(keys) == {effect_key(world.ref.workflow_id, "s1", "undo", 0)}
    assert not set(keys) & set(book.requests("apply"))
    assert {e.idempotency_key for e in world.events if e.type == "CompensationStarted"} == set(keys)
    agrees(world)


def test_an_undo_that_keeps_failing_is_parked_with_its_reason() -> None:
    world, book = shop(undo_attempts=3)
    world.run()
    world.roll_back()
    book.next("undo", *[Trouble.REJECTED] * 3)
    for _ in range(3):
        with pytest.raises(UndoFailed, match="the shop refuses"):
            world.undo()

    assert world.undo() == "parked"
    assert world.undo() == "unchanged"

    assert len(book.requests("undo")) == 3
    assert len(book.standing()) == 1
    assert world.state() is S.PARKED
    assert "the shop refuses" in world.last("StepParked").reason
    assert world.kinds("s1").count("CompensationFailed") == 3
    assert world.close() == "PARKED"
    agrees(world)


def test_a_killed_undo_is_waited_for_and_repeated_under_the_same_key() -> None:
    world, book = shop()
    world.run()
    world.roll_back()
    book.next("undo", Trouble.KILLED_AFTER)
    with pytest.raises(Killed):
        world.undo()

    world.clock.advance(LEASE - A_MOMENT)
    with pytest.raises(StepBusy):
        world.undo()
    assert len(book.requests("undo")) == 1

    world.clock.advance(A_MOMENT)
    assert world.undo() == "compensated"
    assert len(set(book.requests("undo"))) == 1
    assert book.standing() == []
    agrees(world)


def test_an_effect_that_cannot_be_undone_is_parked() -> None:
    """The tool lost its undo in a version that was installed after the step had run."""
    world, book = shop()
    world.run()
    world.roll_back()

    assert world.undo(tool=shop_tool(book, undo=False)) == "parked"

    assert "cannot be undone" in world.last("StepParked").reason
    assert book.requests("undo") == []
    assert world.close() == "PARKED"
    agrees(world)


def test_a_secret_in_a_failed_undo_reaches_neither_events_nor_answers() -> None:
    world, _ = shop(undo_attempts=1)
    secret = "Bearer sk-live-abcdefghijklmnop123456"

    def leak(order: Order, receipt: Receipt | None, call: Any) -> None:
        raise ValueError(f"refused: {secret}")

    world.registry["order_item"].undo_function = leak
    world.run()
    world.roll_back()
    with pytest.raises(UndoFailed) as caught:
        world.undo()
    assert world.undo() == "parked"

    told = "".join(event.model_dump_json() for event in world.events) + str(caught.value)
    assert "refused" in told
    assert secret not in told


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


# ── tools that own their table ──────────────────────────────────────────────────────────────────────────────


def row(world: World) -> dict[str, Any] | None:
    return world.store.read_record("records", "acme", effect_key(world.ref.workflow_id, "s1", "run", 0))


def test_the_row_goes_with_the_event_that_says_so() -> None:
    world = World(row_tool())
    world.run()
    world.roll_back()

    def die(reached: Reached) -> None:
        if reached.point is FaultPoint.AFTER_UNDO:
            raise Killed

    with faults.injected(die), pytest.raises(Killed):
        world.undo()
    assert (row(world), world.state()) == ({"item": "lamp"}, S.UNDOING)

    world.clock.advance(LEASE)
    assert world.undo() == "compensated"
    assert row(world) is None
    agrees(world)


def test_an_open_attempt_on_a_row_is_fenced_once_its_lease_is_over() -> None:
    world = World(row_tool())

    def die(reached: Reached) -> None:
        raise Killed

    with faults.injected(lambda at: die(at) if at.point is FaultPoint.AFTER_EFFECT else None), pytest.raises(Killed):
        world.run()
    world.roll_back()
    with pytest.raises(StepBusy):
        world.undo()
    world.clock.advance(LEASE)

    assert world.undo() == "fenced"
    assert row(world) is None


# ── fault points ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_undo_passes_its_points_in_order() -> None:
    world, book = shop()
    world.run()
    world.roll_back()
    reached: list[tuple[FaultPoint, int, EffectState, int]] = []

    def note(at: Reached) -> None:
        assert (at.step_id, at.tool) == ("s1", "order_item")
        reached.append((at.point, at.attempt, world.state(), len(book.standing())))

    with faults.injected(note):
        world.undo()

    assert reached == [
        (FaultPoint.BEFORE_UNDO, 1, S.CONFIRMED, 1),
        (FaultPoint.AFTER_UNDO, 1, S.UNDOING, 0),
        (FaultPoint.AFTER_COMPENSATION, 1, S.COMPENSATED, 0),
    ]


def test_the_points_are_listed_in_the_order_in_which_a_step_passes_them() -> None:
    world, _ = shop()
    passed: list[FaultPoint] = []
    with faults.injected(lambda at: passed.append(at.point)):
        world.run()
        world.roll_back()
        world.undo()

    assert passed == list(FaultPoint)


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_UNDO, FaultPoint.AFTER_UNDO, FaultPoint.AFTER_COMPENSATION])
@pytest.mark.parametrize("fault", [Killed(), ConnectionError("cut off")], ids=["killed", "failed"])
@pytest.mark.parametrize("make", [lambda: shop()[0], lambda: World(row_tool())], ids=["shop", "row"])
def test_a_fault_at_any_point_of_an_undo_only_costs_time(
    point: FaultPoint, fault: BaseException, make: Callable[[], World]
) -> None:
    world = make()
    world.run()
    world.roll_back()
    fired: list[Reached] = []

    def strike(reached: Reached) -> None:
        if reached.point is point and not fired:
            fired.append(reached)
            raise fault

    with faults.injected(strike):
        with pytest.raises((Killed, ConnectionError, UndoFailed)):
            world.undo()
        world.clock.advance(LEASE)
        assert world.undo() in {"compensated", "unchanged"}

    assert len(fired) == 1
    assert world.state() is S.COMPENSATED
    assert row(world) is None
    agrees(world)


def test_a_tool_without_its_undo_is_parked_and_not_forgotten() -> None:
    world, book = shop()
    world.run()
    world.roll_back()
    tool: AnyTool = world.registry["order_item"]
    assert tool.contract.compensation == "return_item"
    tool.undo_function = None

    assert world.undo() == "parked"
    assert len(book.standing()) == 1
