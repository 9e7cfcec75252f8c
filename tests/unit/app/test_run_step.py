"""Running a step: at most one effect, and every answer means what it says. The shop's book is the witness."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apex.adapters.memory import ManualClock
from apex.errors import (
    InvalidInput,
    PolicyDenied,
    StepError,
    StepRejected,
    StepRetryable,
    StepUnknown,
    ToolRejected,
    ToolRetryable,
)
from apex.schema.ids import effect_key
from apex.schema.ledger import EffectState
from apex.schema.plan import Step
from apex.tools import Lane
from tests.unit.app.book import Book, Order, Receipt, Trouble, look_tool, shop_tool
from tests.unit.app.shops import shop
from tests.unit.app.world import World, agrees

S = EffectState


# ── the way it should go ────────────────────────────────────────────────────────────────────────────────────


def test_a_first_run_has_its_effect_and_stores_its_result() -> None:
    world, book = shop()

    assert world.run() == "confirmed"

    assert len(book.standing()) == 1
    assert (world.state(), world.entry().result) == (S.CONFIRMED, {"receipt": "receipt-0", "ok": None})
    assert world.kinds() == ["ToolCallRequested", "ToolResultReceived"]
    agrees(world)


def test_a_second_run_answers_the_same_without_a_second_effect() -> None:
    world, book = shop()
    world.run()
    before = world.head.seq

    assert world.run() == "confirmed"

    assert len(book.requests("apply")) == 1
    assert world.head.seq == before


def test_the_intent_is_journaled_before_the_effect_and_names_its_key() -> None:
    world, book = shop()
    seen: list[str] = []
    book.during = lambda: seen.extend(world.kinds())

    world.run()

    assert seen == ["ToolCallRequested"]
    requested = world.last("ToolCallRequested")
    assert requested.idempotency_key == effect_key(world.ref.workflow_id, "s1", "run", 0) == book.requests("apply")[0]
    assert requested.compensation_activity == "return_item"


def test_a_tool_must_answer_before_the_time_to_commit_begins() -> None:
    book = Book(ManualClock())
    slow = shop_tool(book, timeout=timedelta(seconds=60))
    world = World(slow, clock=book.clock)
    deadlines: list[timedelta] = []
    act = slow.run

    def watching(order: Order, call: Any) -> Receipt:
        deadlines.append(call.deadline - world.clock.now())
        return act(order, call)

    slow.run = watching
    world.run()

    assert deadlines == [timedelta(seconds=60)]
    assert world.last("ToolCallRequested").lease_until == world.clock.now() + timedelta(seconds=70)


def test_results_of_earlier_steps_are_filled_in() -> None:
    book = Book(ManualClock())
    second = Step(id="s2", tool="order_item", input={"item": "{{s1.receipt}}"}, depends_on=("s1",))
    world = World(shop_tool(book), steps=[Step(id="s1", tool="order_item"), second], clock=book.clock)
    world.run("s1")

    world.run("s2")

    assert world.entry("s2").input == {"item": "receipt-0"}
    assert len(book.standing()) == 2


# ── an answer that is no success ────────────────────────────────────────────────────────────────────────────


def test_a_rejection_is_final() -> None:
    world, book = shop()
    book.next("apply", Trouble.REJECTED)

    with pytest.raises(StepRejected, match="the shop refuses"):
        world.run()
    with pytest.raises(StepRejected, match="the shop refuses"):
        world.run()

    assert len(book.requests("apply")) == 1
    assert (world.state(), world.last("ToolResultReceived").success) == (S.REJECTED, False)
    agrees(world)


def test_a_retryable_failure_frees_the_step_for_the_next_attempt_at_once() -> None:
    world, book = shop()
    book.next("apply", Trouble.UNAVAILABLE)

    with pytest.raises(StepRetryable):
        world.run()
    assert (world.state(), world.entry().lease_until, world.entry().in_doubt) == (S.INTENDED, None, False)
    agrees(world)

    assert world.run() == "confirmed"
    assert [event.attempt for event in world.events if event.type == "ToolCallRequested"] == [1, 2]
    agrees(world)


@pytest.mark.parametrize(
    "result", [Receipt(receipt="", ok=False), "not even a receipt"], ids=["ok-is-false", "of-another-type"]
)
def test_an_answer_that_reports_failure_is_a_failure_whose_effect_is_unknown(result: Any) -> None:
    world, book = shop()
    tool = world.registry["order_item"]
    act = tool.run

    def failing(order: Order, call: Any) -> Any:
        act(order, call)
        return result

    tool.run = failing
    with pytest.raises(StepUnknown):
        world.run()

    assert world.state() is S.UNKNOWN
    assert len(book.standing()) == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("id"), TimeoutError(), StepError("not for a tool")])
def test_whatever_else_a_tool_raises_leaves_its_effect_unknown(error: Exception) -> None:
    world, book = shop()
    tool = world.registry["order_item"]

    def buggy(order: Order, call: Any) -> Receipt:
        book.apply(call)
        raise error

    tool.run = buggy
    with pytest.raises(StepUnknown):
        world.run()

    assert world.state() is S.UNKNOWN
    agrees(world)


def test_a_result_that_no_journal_can_hold_leaves_the_effect_unknown() -> None:
    world, book = shop()
    tool = world.registry["order_item"]
    act = tool.run
    tool.run = lambda order, call: act(order, call).model_copy(update={"receipt": "half a \ud83d pair"})

    with pytest.raises(StepUnknown, match="Unicode"):
        world.run()

    assert world.state() is S.UNKNOWN
    assert len(book.standing()) == 1
    agrees(world)


@pytest.mark.parametrize("error", [ToolRejected, ToolRetryable, ValueError])
def test_a_secret_in_an_error_reaches_neither_events_nor_answers(error: Callable[[str], Exception]) -> None:
    secrets = ("Bearer sk-live-abcdefghijklmnop123456", "4111 1111 1111 1111", "ana@example.com", "hunter2hunter2")

    def leak() -> None:
        raise error(f"declined: {secrets[0]}, card {secrets[1]} of {secrets[2]}, password={secrets[3]}")

    world = World(look_tool(leak))
    with pytest.raises(StepError) as caught:
        world.run()

    told = "".join(event.model_dump_json() for event in world.events) + str(caught.value)
    told += world.entry().model_dump_json()
    assert "declined" in told
    for secret in secrets:
        assert secret not in told


# ── refusals before any call ────────────────────────────────────────────────────────────────────────────────


def test_a_refusal_by_policy_is_journaled_before_any_call() -> None:
    book = Book(ManualClock())
    world = World(shop_tool(book), clock=book.clock)
    stricter = shop_tool(book, lane=Lane.RED)

    with pytest.raises(PolicyDenied):
        world.run(tool=stricter)

    assert book.calls == []
    assert world.kinds() == ["ToolResultReceived"]
    assert "PolicyDenied" in world.last("ToolResultReceived").error
    assert (world.state(), world.entry().attempt, world.entry().started_seq) == (S.REJECTED, 0, 0)
    agrees(world)


def test_an_input_that_only_now_turns_out_not_to_fit_is_refused_with_its_problem() -> None:
    book = Book(ManualClock())
    second = Step(id="s2", tool="order_item", input={"item": "{{s1.receipt}}"}, depends_on=("s1",))
    world = World(shop_tool(book), steps=[Step(id="s1", tool="order_item"), second], clock=book.clock)
    world.registry["order_item"].run = lambda order, call: Receipt(receipt="x" * 200)
    world.run("s1")

    with pytest.raises(InvalidInput, match="item"):
        world.run("s2")

    assert book.calls == []
    assert world.state("s2") is S.REJECTED
    agrees(world)


def test_a_step_whose_dependency_is_not_done_is_refused() -> None:
    book = Book(ManualClock())
    steps = [Step(id="s1", tool="order_item"), Step(id="s2", tool="order_item", depends_on=("s1",))]
    world = World(shop_tool(book), steps=steps, clock=book.clock)

    with pytest.raises(InvalidInput, match="s1"):
        world.run("s2")

    assert book.calls == []


@pytest.mark.parametrize("step_id", ["s1", "s9"], ids=["step-of-another-tool", "unknown-step"])
def test_a_misdirected_call_changes_nothing(step_id: str) -> None:
    world, book = shop()
    before = world.head.seq

    with pytest.raises(InvalidInput):
        world.run(step_id, tool=look_tool())

    assert (world.state(step_id), world.head.seq) == (S.NONE, before)
    assert world.run() == "confirmed"
    assert len(book.standing()) == 1
