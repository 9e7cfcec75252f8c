"""Rollback: one machine whoever opens the door, newest start first, and nothing parked holds up the rest."""

import pytest

from apex.adapters.memory import ManualClock, Started
from apex.app.facts import stamp
from apex.app.operate import Operator, resume, retry_step
from apex.app.rollback import Door, list_steps, park_step, start_rollback
from apex.errors import StepError, StepPaused
from apex.ports.store import Change
from apex.schema.events import GenerationStarted
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import EffectState, Failure, Head, Mode
from apex.schema.plan import Step
from tests.unit.app.book import Book, Killed, Trouble, look_tool, row_tool, shop_tool
from tests.unit.app.world import FAILURE, LEASE, World, agrees

S = EffectState
DOORS: tuple[Door, ...] = ("catch", "janitor", "operator")


def shop(*step_ids: str, probe: bool = False) -> tuple[World, Book]:
    """A world whose steps each order an item; one called ``look...`` only looks."""
    book = Book(ManualClock())
    tools = [shop_tool(book, probe=probe, undo_attempts=2), look_tool()]
    steps = [Step(id=name, tool="look_up" if name.startswith("look") else "order_item") for name in step_ids or ("s1",)]
    return World(*tools, steps=steps, clock=book.clock), book


def rollbacks(world: World) -> list[Started]:
    return [started for started in world.executions.started if started.machine == "rollback"]


# ── the doors ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("door", DOORS)
def test_each_door_stops_the_workflow_and_starts_one_machine_for_the_next_generation(door: Door) -> None:
    world, _ = shop()

    assert world.roll_back(door) == {"mode": "ROLLING_BACK", "generation": 2, "started": True}

    assert (world.head.mode, world.head.generation, world.head.failure) == (Mode.ROLLING_BACK, 2, FAILURE)
    assert rollbacks(world) == [Started("rollback", "acme", world.ref.workflow_id, 2)]
    started = world.last("RollbackStarted")
    assert (started.door, started.generation, started.failed_step_id) == (door, 2, "s1")
    agrees(world)


@pytest.mark.parametrize("second", DOORS)
@pytest.mark.parametrize("first", DOORS)
def test_all_doors_lead_to_the_same_rollback(first: Door, second: Door) -> None:
    world, _ = shop()
    world.roll_back(first)
    seq = world.head.seq

    again = start_rollback(world.house, world.ref, 1, FAILURE, second)

    assert again == {"mode": "ROLLING_BACK", "generation": 2, "started": True}
    assert world.head.seq == seq
    assert len(rollbacks(world)) == 1


def test_whoever_died_between_the_ledger_and_the_machine_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = shop()
    start = world.executions.start_rollback

    def die(tenant: str, workflow_id: str, generation: int) -> str:
        raise Killed

    monkeypatch.setattr(world.executions, "start_rollback", die)
    with pytest.raises(Killed):
        world.roll_back()
    assert rollbacks(world) == []

    monkeypatch.setattr(world.executions, "start_rollback", start)
    world.roll_back()
    assert [started.generation for started in rollbacks(world)] == [2]


@pytest.mark.parametrize("door", ["catch", "janitor"])
def test_a_workflow_that_has_ended_stays_ended(door: Door) -> None:
    world, book = shop()
    world.run()
    world.close()

    assert world.roll_back(door) == {"mode": "COMPLETED", "generation": 1, "started": False}

    assert len(book.standing()) == 1
    assert rollbacks(world) == []


def test_an_execution_that_was_superseded_cannot_roll_back() -> None:
    world, _ = shop()
    world.store.commit(handed_over(world), world.head)

    answer = start_rollback(world.house, world.ref, 1, FAILURE, "catch")

    assert answer == {"mode": "RUNNING", "generation": 2, "started": False}
    assert rollbacks(world) == []


def handed_over(world: World) -> Change:
    """A fresh execution takes the workflow over."""
    event = GenerationStarted(**stamp(world.head, world.clock.now()), generation=2, reason="handover")
    return Change(world.ref, (event,), head={"generation": 2})


def test_two_doors_at_once_are_one_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = shop()
    head = world.store.head
    seen: list[Head] = []

    def read_then_be_overtaken(ref: WorkflowRef) -> Head:
        found = head(ref)
        if not seen:
            seen.append(found)
            world.roll_back("janitor")
        return found

    monkeypatch.setattr(world.store, "head", read_then_be_overtaken)
    answer = start_rollback(world.house, world.ref, 1, FAILURE, "catch")

    assert answer == {"mode": "ROLLING_BACK", "generation": 2, "started": True}
    assert world.kinds().count("RollbackStarted") == 1
    assert len(rollbacks(world)) == 1


# ── what is walked ──────────────────────────────────────────────────────────────────────────────────────────


def test_steps_that_never_started_are_fenced_and_the_others_listed_newest_start_first() -> None:
    world, _ = shop("s1", "look", "s2", "s3", "s4")
    for step_id in ("s3", "look", "s1"):
        world.run(step_id)
    world.roll_back()

    assert world.to_undo() == ["s1", "s3"]

    assert {step: world.state(step) for step in ("s2", "s4")} == {"s2": S.FENCED, "s4": S.FENCED}
    assert world.kinds().count("StepFenced") == 2
    agrees(world)


def test_a_step_that_an_operator_put_back_to_its_beginning_is_fenced_like_one_that_never_started() -> None:
    world, _ = shop("s1", "look")
    world.roll_back()
    world.finish_rollback()
    somebody = Operator("ana", "once more")
    for step_id in ("s1", "look"):
        retry_step(world.house, world.ref, step_id, somebody)
    resume(world.house, world.ref, somebody)
    world.roll_back()

    assert world.to_undo() == []

    assert {world.state("s1"), world.state("look")} == {S.FENCED}
    assert world.close() == "FAILED"
    agrees(world)


def test_listing_again_answers_the_same_and_writes_nothing() -> None:
    world, _ = shop("s1", "s2", "s3")
    world.run("s2")
    world.roll_back()
    first, seq = world.to_undo(), world.head.seq

    assert world.to_undo() == first == ["s2"]
    assert world.head.seq == seq


def test_failing_unknown_and_abandoned_steps_are_listed() -> None:
    world, book = shop("s1", "s2", "s3", "s4")
    book.next("apply", Trouble.NONE, Trouble.LOST_REPLY, Trouble.KILLED_AFTER, Trouble.REJECTED)
    world.run("s1")
    for step_id in ("s2", "s3", "s4"):
        with pytest.raises((StepError, Killed)):
            world.run(step_id)
    world.roll_back()

    assert world.to_undo() == ["s4", "s3", "s2", "s1"]


def test_every_call_names_its_function_and_how_long_it_may_take() -> None:
    world, _ = shop()
    world.run()
    world.roll_back()
    (call,) = list_steps(world.house, world.registry, world.ref, 2)["steps"]

    assert call == {"step_id": "s1", "tool": "order_item", "timeout": 25}


def test_a_hundred_steps_that_never_started_are_fenced() -> None:
    """More than one transaction can hold."""
    world, _ = shop(*(f"s{n}" for n in range(100)))
    world.roll_back()

    assert world.to_undo() == []

    assert {entry.state for entry in world.store.entries(world.ref).values()} == {S.FENCED}
    assert world.close() == "FAILED"
    agrees(world)


def test_only_the_rollback_of_this_generation_lists_fences_and_parks() -> None:
    world, _ = shop()
    with pytest.raises(StepPaused):
        world.to_undo()
    world.roll_back()

    with pytest.raises(StepPaused):
        park_step(world.house, world.ref, 1, "s1", "why not")

    assert world.state() is S.NONE


# ── from end to end ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_started_last_is_undone_first() -> None:
    world, book = shop("s1", "s2", "s3")
    for step_id in ("s2", "s1", "s3"):
        world.run(step_id)
    world.roll_back()

    assert world.finish_rollback() == "FAILED"

    undone = [event.step_id for event in world.events if event.type == "CompensationCompleted"]
    assert undone == ["s3", "s1", "s2"]
    assert (len(book.effects), book.standing()) == (3, [])
    agrees(world)


def test_an_undo_that_keeps_failing_is_parked_and_the_older_steps_are_undone() -> None:
    world, book = shop("s1", "s2")
    world.run("s1")
    world.run("s2")
    book.next("undo", Trouble.REJECTED, Trouble.REJECTED)
    world.roll_back()

    assert world.finish_rollback() == "PARKED"

    assert (world.state("s2"), world.state("s1")) == (S.PARKED, S.COMPENSATED)
    assert [sale.key for sale in book.standing()] == [book.requests("apply")[1]]
    assert world.last("WorkflowParked").parked_steps == ("s2",)
    agrees(world)


def test_a_rollback_that_was_cut_off_goes_on_where_it_was() -> None:
    world, book = shop("s1", "s2", "s3")
    for step_id in ("s1", "s2", "s3"):
        world.run(step_id)
    world.roll_back()
    world.to_undo()
    book.next("undo", Trouble.NONE, Trouble.KILLED_AFTER)
    world.undo("s3")
    with pytest.raises(Killed):
        world.undo("s2")

    assert world.finish_rollback() == "FAILED"

    assert book.standing() == []
    assert len(set(book.requests("undo"))) == 3
    agrees(world)


# ── parking from outside ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trouble", [Trouble.NONE, Trouble.LOST_REPLY, Trouble.KILLED_AFTER])
def test_a_step_whose_function_cannot_be_run_is_parked(trouble: Trouble) -> None:
    world, book = shop()
    book.next("apply", trouble)
    try:
        world.run()
    except (StepError, Killed):
        assert trouble is not Trouble.NONE
    world.roll_back()

    answer = park_step(world.house, world.ref, 2, "s1", "the function is gone")

    assert answer == {"step_id": "s1", "outcome": "parked"}
    assert (world.state(), world.last("StepParked").reason) == (S.PARKED, "the function is gone")
    assert park_step(world.house, world.ref, 2, "s1", "once more")["outcome"] == "unchanged"
    assert world.kinds().count("StepParked") == 1
    assert world.close() == "PARKED"
    agrees(world)


def test_an_abandoned_attempt_that_reports_after_its_step_was_parked_does_not_undo_the_parking() -> None:
    world, book = shop()

    def meanwhile() -> None:
        world.clock.advance(LEASE)
        world.roll_back()
        park_step(world.house, world.ref, 2, "s1", "the function is gone")

    book.during = meanwhile
    with pytest.raises(StepError):
        world.run()

    assert world.state() is S.PARKED
    agrees(world)


@pytest.mark.parametrize("undone", [True, False], ids=["undone", "never-started"])
def test_there_is_nothing_to_park_where_nothing_is_left(undone: bool) -> None:
    world, _ = shop()
    if undone:
        world.run()
    world.roll_back()
    world.undo()
    state = world.state()

    assert park_step(world.house, world.ref, 2, "s1", "why not")["outcome"] == "unchanged"
    assert world.state() is state
    assert park_step(world.house, world.ref, 2, "s9", "why not")["outcome"] == "unchanged"


def test_rows_and_orders_are_rolled_back_alike() -> None:
    book = Book(ManualClock())
    steps = [Step(id="s1", tool="order_item"), Step(id="s2", tool="write_row"), Step(id="s3", tool="order_item")]
    world = World(shop_tool(book), row_tool(), steps=steps, clock=book.clock)
    for step in steps:
        world.run(step.id)
    world.roll_back(failure=Failure(error="DeadlinePassed", message="too late"))

    assert world.finish_rollback() == "FAILED"

    assert book.standing() == []
    assert {world.state(step.id) for step in steps} == {S.COMPENSATED}
    assert world.last("WorkflowFailed").error_message == "too late"
