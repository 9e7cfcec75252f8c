"""Every single and every double fault, for every shape of plan up to four steps, under six contract profiles."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations, combinations_with_replacement, islice, permutations, product

from infra.chaos.faults import Fault, PlannedFault
from infra.chaos.programs import (
    ROLLBACK_FAULTS,
    STEP_FAULTS,
    PlannedStep,
    Program,
    hides_a_late_sender,
)

PROFILES = (
    "keyed_probed_fencing",
    "keyed_blind_tolerant",
    "unkeyed_probed",
    "probed_without_result",
    "transactional",
    "irreversible",
)
LARGEST = 4

Shape = tuple[tuple[int, ...], ...]
"""For each step the earlier steps that it depends on."""

_TYPICAL: dict[Fault, PlannedFault] = {
    Fault.ZOMBIE: PlannedFault(Fault.ZOMBIE, delay=25.0),
    Fault.UNDO_ZOMBIE: PlannedFault(Fault.UNDO_ZOMBIE, delay=25.0),
    Fault.LATE_SENDER: PlannedFault(Fault.LATE_SENDER, delay=40.0),
    Fault.LANDS_LATE: PlannedFault(Fault.LANDS_LATE, delay=0.9),
    Fault.REORDERED_DELIVERY: PlannedFault(Fault.REORDERED_DELIVERY, delay=3.0),
    Fault.APPEND_CONFLICT: PlannedFault(Fault.APPEND_CONFLICT, nth=3, times=3),
    Fault.APPEND_TIMED_OUT: PlannedFault(Fault.APPEND_TIMED_OUT, nth=3),
    Fault.APPEND_REJECTED: PlannedFault(Fault.APPEND_REJECTED, nth=3),
    Fault.THROTTLED: PlannedFault(Fault.THROTTLED, nth=9),
    Fault.EXECUTION_STOPPED: PlannedFault(Fault.EXECUTION_STOPPED, nth=4),
    Fault.ROLLBACK_STOPPED: PlannedFault(Fault.ROLLBACK_STOPPED, nth=2),
    Fault.OPERATOR_COMPENSATES: PlannedFault(Fault.OPERATOR_COMPENSATES, nth=6),
}
"""Faults with more to say than where they strike: a typical one of each."""


@cache
def shapes(size: int) -> tuple[Shape, ...]:
    """All acyclic graphs of so many steps, one of each that differ in the names of their steps only."""
    pairs = list(combinations(range(size), 2))
    found: dict[frozenset[tuple[int, int]], Shape] = {}
    for chosen in product((False, True), repeat=len(pairs)):
        edges = [pair for pair, there in zip(pairs, chosen, strict=True) if there]
        renamed = [frozenset((order[a], order[b]) for a, b in edges) for order in permutations(range(size))]
        canonical = min(renamed, key=sorted)
        found.setdefault(canonical, tuple(tuple(a for a, b in edges if b == step) for step in range(size)))
    return tuple(found.values())


def sites(size: int) -> Iterator[PlannedFault]:
    """Every fault at every step that it can strike."""
    for fault in Fault:
        typical = _TYPICAL.get(fault, PlannedFault(fault))
        for step in range(size if fault in STEP_FAULTS else 1):
            yield PlannedFault(fault, step, typical.nth, typical.times, typical.delay)


Case = tuple[Shape, str, tuple[PlannedFault, ...]]
"""A shape, the profile of all its steps, and one or two faults."""


def cases() -> Iterator[Case]:
    """All of them, the smallest shapes first."""
    for size in range(1, LARGEST + 1):
        strikes = [(site,) for site in sites(size)]
        pairs = [pair for pair in combinations_with_replacement(sites(size), 2) if not hides_a_late_sender(pair)]
        yield from product(shapes(size), PROFILES, [*strikes, *pairs])


def programs(every: int = 1) -> Iterator[tuple[int, Program]]:
    """The programs of all cases, or of each so many-th, with their numbers."""
    for number, case in islice(enumerate(cases()), 0, None, every):
        yield number, _program(*case)


def _program(shape: Shape, profile: str, faults: tuple[PlannedFault, ...]) -> Program:
    steps = [PlannedStep(profile, depends_on) for depends_on in shape]
    if any(fault.fault in ROLLBACK_FAULTS for fault in faults):
        steps[-1] = PlannedStep(profile, shape[-1], "refuses")
    if any(fault.fault is Fault.PAYLOAD_OVERSIZED for fault in faults) and profile != "transactional":
        steps[0] = PlannedStep(profile, shape[0], "grants_much")
    named = "+".join(f"{fault.fault.value}:{fault.step}" for fault in faults)
    return Program(f"{shape}/{profile}/{named}", tuple(steps), faults)
