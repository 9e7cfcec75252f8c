"""Running a step: at most one effect, whatever is lost, killed or repeated. The shop's book is the witness."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apex import faults
from apex.adapters.memory import ManualClock
from apex.errors import (
    InvalidInput,
    PolicyDenied,
    StepBusy,
    StepError,
    StepFenced,
    StepPaused,
    StepRejected,
    StepRetryable,
    StepUnknown,
    StepUnresolved,
    StoreContended,
    ToolRejected,
    ToolRetryable,
)
from apex.faults import FaultPoint, Reached
from apex.ports.store import Change, RecordWrite
from apex.schema.ids import effect_key
from apex.schema.ledger import EffectState, Head
from apex.schema.plan import Step
from apex.tools import Effect, Lane
from tests.unit.app.book import A_DAY, Book, Killed, Order, Receipt, Trouble, look_tool, row_tool, shop_tool
from tests.unit.app.world import LEASE, World, agrees

S = EffectState


def shop(*, probe: bool = False, window: timedelta = A_DAY, tells_result: bool = True) -> tuple[World, Book]:
    """A world with one step that orders an item."""
    book = Book(clock := ManualClock(), window=window, tells_result=tells_result)
    return World(shop_tool(book, probe=probe), clock=clock), book


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


# ── a lost reply ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lost", [Trouble.LOST_REPLY, Trouble.LOST_REQUEST])
def test_an_attempt_without_an_answer_leaves_the_step_unknown(lost: Trouble) -> None:
    world, book = shop()
    book.next("apply", lost)

    with pytest.raises(StepUnknown):
        world.run()

    assert world.state() is S.UNKNOWN
    assert world.kinds() == ["ToolCallRequested", "ToolOutcomeUnknown"]
    agrees(world)


def test_a_lost_reply_is_found_by_the_probe_with_its_result() -> None:
    world, book = shop(probe=True)
    book.next("apply", Trouble.LOST_REPLY)
    with pytest.raises(StepUnknown):
        world.run()

    assert world.run() == "confirmed"

    assert len(book.requests("apply")) == len(book.standing()) == 1
    assert world.entry().result == {"receipt": "receipt-0", "ok": None}
    assert world.last("ToolResultReceived").resolved_by == "probe"
    agrees(world)


def test_an_effect_whose_result_is_lost_for_good_is_never_called_again() -> None:
    world, book = shop(probe=True, tells_result=False)
    book.next("apply", Trouble.LOST_REPLY)
    with pytest.raises(StepUnknown):
        world.run()

    with pytest.raises(StepUnresolved, match="result is lost"):
        world.run()

    assert len(book.requests("apply")) == 1
    assert world.state() is S.UNKNOWN
    agrees(world)


def test_a_request_that_never_arrived_is_repeated_under_the_same_key() -> None:
    world, book = shop(probe=True)
    book.next("apply", Trouble.LOST_REQUEST)
    with pytest.raises(StepUnknown):
        world.run()

    assert world.run() == "confirmed"

    assert book.requests("apply") == book.requests("apply")[:1] * 2
    assert len(book.standing()) == 1
    agrees(world)


def test_a_request_that_is_only_late_and_its_repetition_are_one_effect() -> None:
    world, book = shop(probe=True)
    book.next("apply", Trouble.LATE_REQUEST)
    with pytest.raises(StepUnknown):
        world.run()

    world.run()
    world.clock.advance(timedelta(minutes=5))

    assert len(book.effects) == 1
    assert not book.under_way


def test_what_the_provider_will_never_accept_is_rejected() -> None:
    world, book = shop(probe=True)
    book.next("apply", Trouble.LOST_REQUEST)
    with pytest.raises(StepUnknown):
        world.run()
    book.revoke(book.requests("apply")[0])

    with pytest.raises(StepRejected):
        world.run()

    assert world.state() is S.REJECTED
    assert not world.entry().in_doubt
    agrees(world)


def test_outside_the_window_a_probe_that_sees_nothing_does_not_lead_to_a_call() -> None:
    world, book = shop(probe=True, window=timedelta(minutes=5))
    book.next("apply", Trouble.LOST_REQUEST)
    with pytest.raises(StepUnknown):
        world.run()
    world.clock.advance(timedelta(minutes=5))

    with pytest.raises(StepUnresolved):
        world.run()

    assert len(book.requests("apply")) == 1
    assert world.state() is S.UNKNOWN


def test_without_a_probe_the_call_is_repeated_inside_the_window() -> None:
    world, book = shop(window=timedelta(minutes=5))
    book.next("apply", Trouble.LOST_REPLY)
    with pytest.raises(StepUnknown):
        world.run()
    world.clock.advance(timedelta(minutes=4))

    assert world.run() == "confirmed"

    assert len(book.requests("apply")) == 2
    assert len(book.standing()) == 1


def test_without_a_probe_nothing_is_called_outside_the_window() -> None:
    world, book = shop(window=timedelta(minutes=5))
    book.next("apply", Trouble.LOST_REPLY)
    with pytest.raises(StepUnknown):
        world.run()
    world.clock.advance(timedelta(minutes=5))
    before = world.head.seq

    with pytest.raises(StepUnresolved):
        world.run()

    assert len(book.requests("apply")) == len(book.effects) == 1
    assert (world.state(), world.head.seq) == (S.UNKNOWN, before)


def test_a_repetition_that_might_land_after_the_key_is_forgotten_is_not_made() -> None:
    """To the provider it would be a new order, and a second effect."""
    world, book = shop(window=timedelta(minutes=5))
    book.next("apply", Trouble.LOST_REPLY, Trouble.LATE_REQUEST)
    with pytest.raises(StepUnknown):
        world.run()
    world.clock.advance(timedelta(minutes=4, seconds=40))

    with pytest.raises(StepUnresolved):
        world.run()

    world.clock.advance(A_DAY)
    assert len(book.standing()) == 1


@pytest.mark.parametrize("trouble", [Trouble.REJECTED, Trouble.UNAVAILABLE])
def test_a_refusal_behind_a_doubt_leaves_the_step_unknown(trouble: Trouble) -> None:
    """The refused attempt says nothing about the one before it, which may have charged the card."""
    world, book = shop()
    book.next("apply", Trouble.LOST_REPLY, trouble)
    with pytest.raises(StepUnknown):
        world.run()

    with pytest.raises(StepUnknown):
        world.run()

    assert world.state() is S.UNKNOWN
    assert world.run() == "confirmed"
    assert len(book.effects) == 1
    agrees(world)


@pytest.mark.parametrize("trouble", [Trouble.UNAVAILABLE, Trouble.REJECTED, Trouble.LOST_REPLY])
def test_a_probe_that_fails_leaves_the_step_unknown_and_calls_nothing(trouble: Trouble) -> None:
    world, book = shop(probe=True)
    book.next("apply", Trouble.LOST_REPLY)
    book.next("find", trouble)
    with pytest.raises(StepUnknown):
        world.run()

    with pytest.raises(StepUnknown):
        world.run()

    assert len(book.requests("apply")) == 1
    assert world.run() == "confirmed"


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


# ── killed ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("killed", [Trouble.KILLED_BEFORE, Trouble.KILLED_AFTER, Trouble.KILLED_LATE])
def test_a_killed_attempt_holds_the_step_until_its_lease_is_over(killed: Trouble) -> None:
    world, book = shop(probe=True)
    book.next("apply", killed)
    with pytest.raises(Killed):
        world.run()
    assert world.state() is S.INTENDED

    world.clock.advance(LEASE - timedelta(milliseconds=1))
    with pytest.raises(StepBusy):
        world.run()
    assert len(book.calls) == 1

    world.clock.advance(timedelta(milliseconds=1))
    assert world.run() == "confirmed"
    world.clock.advance(timedelta(minutes=5))
    assert len(book.effects) == 1
    agrees(world)


def test_a_killed_attempt_that_nobody_can_ask_about_becomes_unknown() -> None:
    world, book = shop(window=timedelta(0))
    book.next("apply", Trouble.KILLED_AFTER)
    with pytest.raises(Killed):
        world.run()
    world.clock.advance(LEASE)

    with pytest.raises(StepUnresolved):
        world.run()

    assert world.state() is S.UNKNOWN
    assert len(book.requests("apply")) == 1
    agrees(world)


def test_a_killed_look_is_simply_repeated() -> None:
    deaths = iter([True, False])

    def die() -> None:
        if next(deaths):
            raise Killed

    world = World(look_tool(die))
    with pytest.raises(Killed):
        world.run()
    world.clock.advance(LEASE)

    assert world.run() == "confirmed"


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


# ── tools that own their table ──────────────────────────────────────────────────────────────────────────────


def row(world: World) -> dict[str, Any] | None:
    key = effect_key(world.ref.workflow_id, "s1", "run", 0)
    return world.store.read_record("records", "acme", key)


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


# ── contention ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("resolved_by", ["reply", "probe"])
def test_a_result_that_cannot_be_written_in_time_never_becomes_an_unknown_outcome(
    resolved_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contention on the head says nothing about the effect: the next attempt settles it."""
    world, book = shop(probe=True)
    if resolved_by == "probe":
        book.next("apply", Trouble.LOST_REPLY)
        with pytest.raises(StepUnknown):
            world.run()
    commit = world.store.commit
    contended: list[Change] = []

    def crowded(change: Change, head: Head, **kwargs: Any) -> Head:
        if change.events[0].type == "ToolResultReceived" and not contended:  # type: ignore[attr-defined]
            contended.append(change)
            raise StoreContended("others were first")
        return commit(change, head, **kwargs)

    monkeypatch.setattr(world.store, "commit", crowded)
    before = world.kinds().count("ToolOutcomeUnknown")
    with pytest.raises(StoreContended):
        world.run()

    assert contended
    assert world.state() is S.INTENDED
    assert world.kinds().count("ToolOutcomeUnknown") == before
    world.clock.advance(LEASE)
    assert world.run() == "confirmed"
    assert len(book.effects) == 1


def test_an_abandoned_attempt_that_reports_at_the_last_moment_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt reports between the reading and the writing of the one that gives it up."""
    world, book = shop(window=timedelta(0))
    commit = world.store.commit
    gave_up: list[StepError] = []

    def while_the_reply_travels() -> None:
        world.clock.advance(LEASE)
        monkeypatch.setattr(world.store, "commit", first_the_zombie)

    held: list[tuple[Change, Head]] = []

    def first_the_zombie(change: Change, head: Head, **kwargs: Any) -> Head:
        if not held:  # the zombie's result: held back until somebody gives it up
            held.append((change, head))
            with pytest.raises(StepBusy) as caught:
                world.run()
            gave_up.append(caught.value)
        elif change.events[0].type == "ToolOutcomeUnknown":  # type: ignore[attr-defined]
            commit(*held[0])
        return commit(change, head, **kwargs)

    book.during = while_the_reply_travels
    with pytest.raises(StepFenced):
        world.run()

    assert gave_up
    assert world.state() is S.CONFIRMED
    assert world.run() == "confirmed"
    assert len(book.effects) == 1


def test_an_effect_without_a_way_back_waits_for_a_person() -> None:
    """Approval comes later; until then such a tool does not run at all."""
    book = Book(ManualClock())
    world = World(shop_tool(book), clock=book.clock)

    with pytest.raises(PolicyDenied):
        world.run(tool=shop_tool(book, undo=False))

    assert world.registry["order_item"].contract.effect is Effect.REVERSIBLE
    assert book.calls == []
