"""The scheduler: turns are drawn from the seed, time jumps, actors can be waited for and killed."""

from datetime import timedelta

import pytest

from infra.chaos.scheduler import EPOCH, Killed, Scheduler, StuckError


def course(seed: str) -> list[str]:
    """In which order three actors of three turns each get on."""
    scheduler, seen = Scheduler(seed), list[str]()

    def body(name: str) -> None:
        for _ in range(3):
            seen.append(name)
            scheduler.pause()

    for name in "abc":
        scheduler.spawn(name, lambda name=name: body(name))  # type: ignore[misc]
    scheduler.run(lambda: False)
    return seen


def test_the_same_seed_gives_the_same_turns_and_another_seed_others() -> None:
    assert course("1") == course("1")
    assert len({tuple(course(str(seed))) for seed in range(20)}) > 10
    assert sorted(course("1")) == sorted("abc" * 3)


def test_time_jumps_to_the_next_waking() -> None:
    scheduler, woke = Scheduler("1"), list[tuple[str, timedelta]]()

    def sleeper(name: str, seconds: float) -> None:
        scheduler.sleep(seconds)
        woke.append((name, scheduler.now() - EPOCH))

    scheduler.spawn("late", lambda: sleeper("late", 3600))
    scheduler.spawn("soon", lambda: sleeper("soon", 1))
    scheduler.run(lambda: False)
    assert woke == [("soon", timedelta(seconds=1)), ("late", timedelta(hours=1))]


def test_whoever_waits_hears_of_the_end_or_of_the_time() -> None:
    scheduler, heard = Scheduler("1"), list[bool]()
    slow = scheduler.spawn("slow", lambda: scheduler.sleep(10))

    def waiter(seconds: float) -> None:
        heard.append(scheduler.wait_for(slow, EPOCH + timedelta(seconds=seconds)))

    scheduler.spawn("impatient", lambda: waiter(5))
    scheduler.spawn("patient", lambda: waiter(50))
    scheduler.run(lambda: False)
    assert heard == [False, True]
    assert scheduler.now() == EPOCH + timedelta(seconds=10)


def test_a_killed_actor_goes_no_further_and_ordinary_handlers_do_not_notice() -> None:
    scheduler, seen = Scheduler("1"), list[str]()

    def victim() -> None:
        try:
            scheduler.sleep(100)
            seen.append("woke")
        except Exception:
            seen.append("handled")

    actor = scheduler.spawn("victim", victim)
    scheduler.spawn("killer", lambda: scheduler.kill(actor))
    scheduler.run(lambda: False)
    assert seen == []
    assert isinstance(actor.error, Killed)
    assert scheduler.now() == EPOCH


def test_what_an_actor_raises_is_kept_for_whoever_looks() -> None:
    scheduler = Scheduler("1")

    def body() -> None:
        raise ValueError("broken")

    actor = scheduler.spawn("broken", body)
    scheduler.run(lambda: False)
    assert scheduler.errors() == [("broken", actor.error)]


def test_a_run_without_end_is_stopped() -> None:
    scheduler = Scheduler("1", max_turns=100)

    def body() -> None:
        while True:
            scheduler.pause()

    actor = scheduler.spawn("restless", body)
    with pytest.raises(StuckError):
        scheduler.run(lambda: False)
    scheduler.end()
    assert actor.done
