"""Undoing a step: what has no effect is fenced, what has one is undone once. The shop's book is the witness."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apex import faults
from apex.errors import StepBusy, StepError, StepRejected, UndoFailed
from apex.faults import FaultPoint, Reached
from apex.schema.ids import effect_key
from apex.schema.ledger import EffectState
from apex.schema.plan import Step
from tests.unit.app.book import Killed, Order, Receipt, Trouble, look_tool, row_tool, shop_tool
from tests.unit.app.shops import row, shop
from tests.unit.app.world import LEASE, AnyTool, World, agrees

S = EffectState
A_MOMENT = timedelta(milliseconds=1)


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


# ── tools that own their table ──────────────────────────────────────────────────────────────────────────────


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
