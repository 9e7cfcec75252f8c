"""Running a step whose earlier attempt may have had its effect: asked about, repeated under its key, or left open."""

from datetime import timedelta
from typing import Any

import pytest

from apex.adapters.memory import ManualClock
from apex.errors import (
    PolicyDenied,
    StepBusy,
    StepError,
    StepFenced,
    StepRejected,
    StepUnknown,
    StepUnresolved,
    StoreContended,
)
from apex.ports.store import Change
from apex.schema.ledger import EffectState, Head
from apex.tools import Effect
from tests.unit.app.book import A_DAY, Book, Killed, Trouble, look_tool, shop_tool
from tests.unit.app.shops import shop
from tests.unit.app.world import LEASE, World, agrees

S = EffectState


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
