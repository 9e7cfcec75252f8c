"""Threads that are used again, and alarms that share one."""

import functools
import threading
import weakref
from queue import SimpleQueue

from infra.local.spare_threads import Alarms, SpareThreads


def test_work_that_does_not_overlap_runs_on_one_thread() -> None:
    threads, seen = SpareThreads("spare"), SimpleQueue[int]()
    idents = set()
    for _ in range(5):
        threads.run(lambda: seen.put(threading.get_ident()))
        idents.add(seen.get(timeout=5))
        while not threads._idle:
            threading.Event().wait(0.001)
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_work_that_overlaps_never_waits_for_other_work() -> None:
    threads, together = SpareThreads("spare"), threading.Barrier(4)
    for _ in range(3):
        threads.run(lambda: together.wait(5))
    together.wait(5)
    assert not together.broken


def test_an_idle_thread_keeps_nothing_of_its_last_work_alive() -> None:
    class Thing:
        pass

    threads, thing, done = SpareThreads("spare"), Thing(), threading.Event()
    gone = weakref.ref(thing)
    threads.run(functools.partial(lambda _kept: done.set(), thing))
    del thing
    assert done.wait(5)
    while not threads._idle:
        threading.Event().wait(0.001)
    assert gone() is None


def test_alarms_ring_in_the_order_of_their_times() -> None:
    alarms, rung = Alarms("alarms"), SimpleQueue[str]()
    alarms.after(60, lambda: rung.put("never in this test"))
    alarms.after(0.08, lambda: rung.put("second"))
    alarms.after(0.02, lambda: rung.put("first"))
    assert [rung.get(timeout=5), rung.get(timeout=5)] == ["first", "second"]
    assert rung.empty()


def test_a_cancelled_alarm_does_not_ring_and_is_forgotten() -> None:
    alarms, rung = Alarms("alarms"), SimpleQueue[str]()
    cancels = [alarms.after(3600, lambda: rung.put("far")) for _ in range(500)]
    cancel = alarms.after(0.02, lambda: rung.put("near"))
    cancel()
    cancel()
    for each in cancels:
        each()
    alarms.after(0.05, lambda: rung.put("last"))
    assert rung.get(timeout=5) == "last"
    assert len(alarms._waiting) < 100
