"""How a workflow ends: completed with its result, failed with nothing left outside, or parked by name."""

import pytest

from apex.adapters.memory import ManualClock
from apex.app.close import close_workflow
from apex.errors import StepPaused, StepUnresolved
from apex.schema.ledger import Mode
from apex.schema.plan import Step
from tests.unit.app.book import Book, Trouble, look_tool, shop_tool
from tests.unit.app.world import World, agrees


def shop(*steps: Step) -> tuple[World, Book]:
    book = Book(ManualClock())
    return World(shop_tool(book, undo_attempts=1), look_tool(), steps=steps or None, clock=book.clock), book


def order(step_id: str, *needed: str) -> Step:
    return Step(id=step_id, tool="order_item", depends_on=needed)


def test_a_workflow_completes_with_the_result_of_its_last_step() -> None:
    world, _ = shop(order("s1"), order("s2", "s1"))
    world.run("s1")
    world.run("s2")

    assert world.close() == "COMPLETED"

    completed = world.last("WorkflowCompleted")
    assert completed.final_result == {"receipt": "receipt-1", "ok": None}
    assert (completed.total_steps, completed.plan_id) == (2, world.head.plan_id)
    assert world.head.mode is Mode.COMPLETED
    agrees(world)


def test_several_last_steps_give_each_its_result() -> None:
    world, _ = shop(order("s1"), order("s2", "s1"), order("s3", "s1"))
    for step_id in ("s1", "s2", "s3"):
        world.run(step_id)
    world.close()

    result = world.last("WorkflowCompleted").final_result
    assert {step_id: answer["receipt"] for step_id, answer in result.items()} == {"s2": "receipt-1", "s3": "receipt-2"}


def test_the_duration_runs_from_the_submit() -> None:
    world, _ = shop()
    world.clock.sleep(90.5)
    world.run()
    world.close()

    assert world.last("WorkflowCompleted").duration_seconds == 90.5


@pytest.mark.parametrize("trouble", [Trouble.REJECTED, Trouble.LOST_REPLY, Trouble.UNAVAILABLE, None])
def test_a_workflow_with_an_open_step_does_not_complete(trouble: Trouble | None) -> None:
    world, book = shop(order("s1"), order("s2"))
    world.run("s1")
    if trouble is not None:
        book.next("apply", trouble)
        with pytest.raises(Exception, match="APX-4"):
            world.run("s2")
    before = world.head.seq

    with pytest.raises(StepUnresolved, match="s2"):
        world.close()

    assert (world.head.mode, world.head.seq) == (Mode.RUNNING, before)


def test_a_failed_workflow_tells_what_failed_and_what_was_undone() -> None:
    world, _ = shop(order("s1"), order("s2"))
    world.run("s1")
    world.roll_back()

    assert world.finish_rollback() == "FAILED"

    failed = world.last("WorkflowFailed")
    assert (failed.failed_step_id, failed.error_message) == ("s1", "the shop refuses")
    assert failed.compensation_executed
    assert failed.compensation_results == {"s1": "COMPENSATED", "s2": "FENCED"}
    agrees(world)


def test_a_workflow_that_failed_before_any_effect_says_that_nothing_was_undone() -> None:
    world, _ = shop()
    world.roll_back()
    world.finish_rollback()

    assert not world.last("WorkflowFailed").compensation_executed


def test_a_parked_workflow_names_the_steps_and_why_it_failed() -> None:
    world, book = shop(order("s1"), order("s2"), order("s3"))
    for step_id in ("s1", "s2", "s3"):
        world.run(step_id)
    book.next("undo", Trouble.REJECTED, Trouble.NONE, Trouble.REJECTED)
    world.roll_back()

    assert world.finish_rollback() == "PARKED"

    parked = world.last("WorkflowParked")
    assert parked.parked_steps == ("s1", "s3")
    assert "s1, s3" in parked.reason
    assert "the shop refuses" in parked.reason
    agrees(world)


def test_a_workflow_is_not_called_failed_while_something_of_it_may_remain_outside() -> None:
    """The rollback was closed without having walked its steps."""
    world, book = shop(order("s1"), order("s2"), order("s3"))
    world.run("s1")
    book.next("apply", Trouble.LOST_REPLY)
    with pytest.raises(Exception, match="APX-4004"):
        world.run("s2")
    world.roll_back()
    world.to_undo()

    assert world.close() == "PARKED"

    assert set(world.last("WorkflowParked").parked_steps) == {"s1", "s2"}


@pytest.mark.parametrize("ending", ["COMPLETED", "FAILED"])
def test_closing_again_changes_nothing_whatever_the_generation(ending: str) -> None:
    world, _ = shop()
    world.run()
    if ending == "COMPLETED":
        world.close()
    else:
        world.roll_back()
        world.finish_rollback()
    seq = world.head.seq

    for generation in (1, 2, 7):
        assert close_workflow(world.house, world.ref, generation) == {"status": ending}

    assert world.head.seq == seq


def test_a_superseded_execution_cannot_close() -> None:
    world, _ = shop()
    world.run()
    world.roll_back()

    with pytest.raises(StepPaused):
        close_workflow(world.house, world.ref, 1)

    assert world.head.mode is Mode.ROLLING_BACK


def test_a_rollback_that_begins_while_the_workflow_closes_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    world, book = shop()
    world.run()
    entries = world.store.entries
    doors: list[object] = []

    def overtaken(*args: object) -> object:
        if not doors:
            doors.append(world.roll_back("operator"))
        return entries(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(world.store, "entries", overtaken)
    with pytest.raises(StepPaused):
        close_workflow(world.house, world.ref, 1)

    assert world.head.mode is Mode.ROLLING_BACK
    assert world.finish_rollback() == "FAILED"
    assert book.standing() == []
