"""What is measured about sagas, and how."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median, quantiles

from apex.app.submit import Goal
from apex.schema.plan import Plan, Step
from benchmarks import system as system_module
from benchmarks.layers import Spent, measured
from benchmarks.system import Done, System, goal
from benchmarks.units import Sizes, Units, item_sizes

Workload = Callable[[], Goal]
_WARM_UP = 15
_TRIP = "Book a flight to Paris tomorrow, reserve a hotel near the Eiffel Tower and charge $90 to my card"


def chain(length: int) -> Goal:
    """A chain of so many steps, each of which writes a record: effect and ledger in one transaction."""
    steps = [
        Step(
            id=f"s{number}",
            tool="create_record",
            input={"collection": "notes", "data": {"number": number, "text": "a note of ordinary length"}},
            depends_on=(f"s{number - 1}",) if number > 1 else (),
        )
        for number in range(1, length + 1)
    ]
    return goal(f"{length} notes, one after the other", plan=Plan(steps=tuple(steps)))


def answer() -> Goal:
    """One step without an effect outside."""
    return goal("an answer", plan=Plan(steps=(Step(id="s1", tool="respond_to_user", input={"message": "hello"}),)))


def trip() -> Goal:
    """The trip of the demo: planned from a worked example, with flights, hotels and payments behind HTTP."""
    return goal(_TRIP)


@dataclass(frozen=True, slots=True)
class Durations:
    """Sagas one after the other; in milliseconds. ``processor`` is that of the whole process, publishing included."""

    runs: int
    median: float
    p95: float
    fastest: float
    processor: float


@dataclass(frozen=True, slots=True)
class Rate:
    """Sagas side by side: so many at once, so many done per second, and the processor time of each in milliseconds."""

    runs: int
    at_once: int
    per_second: float
    median: float
    processor: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What one saga of ``steps`` steps consumes, publishing its events included."""

    steps: int
    transitions: int
    invocations: dict[str, int]
    read_units: float
    write_units: float
    calls: int
    sizes: dict[str, Sizes]

    @property
    def units_per_step(self) -> float:
        """Read and write units together, by step."""
        return (self.read_units + self.write_units) / self.steps


def one_after_the_other(system: System, workload: Workload, runs: int, *, reset: bool = False) -> Durations:
    """Time sagas by themselves. Deliveries of one saga may still go on while the next one runs, as in daily use."""
    for _ in range(_WARM_UP):
        system.run(workload())
    system.settle()
    seconds: list[float] = []
    processor = 0.0
    for _ in range(runs):
        if reset:
            system.reset_providers()
        before = time.process_time()
        seconds.append(system.run(workload()).seconds)
        processor += time.process_time() - before
    before = time.process_time()
    system.settle()
    processor += time.process_time() - before
    return Durations(
        runs=runs,
        median=median(seconds) * 1000,
        p95=quantiles(seconds, n=20)[-1] * 1000,
        fastest=min(seconds) * 1000,
        processor=processor * 1000 / runs,
    )


def side_by_side(system: System, workload: Workload, runs: int, at_once: int) -> Rate:
    """Time sagas of which so many run at any moment. The last deliveries count for the processor, not for the clock."""
    goals = [workload() for _ in range(runs)]
    system.settle()
    processor, start = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        done: list[Done] = list(pool.map(system.run, goals))
    seconds = time.perf_counter() - start
    system.settle()
    processor = time.process_time() - processor
    return Rate(
        runs=runs,
        at_once=at_once,
        per_second=runs / seconds,
        median=median(each.seconds for each in done) * 1000,
        processor=processor * 1000 / runs,
    )


def consumed(system: System, units: Units, length: int) -> Cost:
    """Run one chain and add up what it consumed."""
    system.settle()
    system.invocations.clear()
    with units.count():
        done = system.run(chain(length))
        system.settle()
    return Cost(
        steps=length,
        transitions=system.session.transitions(done.ref),
        invocations=dict(sorted(system.invocations.items())),
        read_units=units.reads,
        write_units=units.writes,
        calls=units.calls,
        sizes=item_sizes([done.ref]),
    )


def where_time_goes(system: System, workload: Workload, runs: int) -> tuple[list[Spent], float]:
    """Milliseconds of processor time by layer for one saga, and for all of it; counting makes it a little slower."""
    system.settle()
    before = time.process_time()
    with measured(system_module) as layers:
        for _ in range(runs):
            system.run(workload())
        system.settle()
    total = (time.process_time() - before) * 1000 / runs
    return layers.spent(runs), total
