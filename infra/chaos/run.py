"""Runs many programs, in several processes, and adds up what was found."""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import Any

from infra.chaos.exhaustive import programs
from infra.chaos.faults import Fault
from infra.chaos.invariants import Checked, Violation, check
from infra.chaos.own_tools import Tools
from infra.chaos.programs import Program, generate
from infra.chaos.simulation import Ran, Simulation
from infra.chaos.world import enter, leave

_KEPT = 5
"""Violating programs that are kept to be shrunk and shown; all are counted."""


@dataclass
class Findings:
    """What a number of programs came to."""

    programs: int = 0
    violating: list[tuple[int, Program, list[Violation]]] = field(default_factory=list)
    violations: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    checked: Counter[int] = field(default_factory=Counter)
    under: dict[str, Counter[int]] = field(default_factory=dict)
    """How often each invariant was checked in runs in which a fault struck, by fault."""
    endings: Counter[str] = field(default_factory=Counter)
    digests: dict[int, str] = field(default_factory=dict)

    def add(self, index: int, program: Program, ran: Ran, checked: Checked) -> None:
        """Count one run."""
        self.programs += 1
        self.violations += len(checked.violations)
        self.fired.update({fault.value: times for fault, times in ran.plot.fired.items()})
        self.checked.update(checked.counts)
        for fault in ran.plot.fired:
            self.under.setdefault(fault.value, Counter()).update(checked.counts)
        self.endings.update(head.mode.value if (head := ran.watch.head(ref)) else "NEVER_ACCEPTED" for ref in ran.refs)
        self.digests[index] = ran.digest
        if checked.violations and len(self.violating) < _KEPT:
            self.violating.append((index, program, checked.violations))

    def merge(self, other: "Findings") -> None:
        """Add what other programs came to."""
        self.programs += other.programs
        self.violations += other.violations
        self.violating = sorted(self.violating + other.violating, key=lambda found: found[0])[:_KEPT]
        self.fired.update(other.fired)
        self.checked.update(other.checked)
        for fault, counts in other.under.items():
            self.under.setdefault(fault, Counter()).update(counts)
        self.endings.update(other.endings)
        self.digests.update(other.digests)

    def digest(self) -> str:
        """Digest over the courses of all runs, in the order of their numbers."""
        text = "".join(f"{index}:{self.digests[index]}\n" for index in sorted(self.digests))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def document(self, seed: int, seconds: float) -> dict[str, Any]:
        """As ``apex chaos --json`` prints it."""
        return {
            "programs": self.programs,
            "violations": self.violations,
            "faults_fired": {fault.value: self.fired[fault.value] for fault in Fault},
            "invariants_checked": {str(number): self.checked[number] for number in sorted(self.checked)},
            "seconds": round(seconds, 1),
            "seed": seed,
            "hash": self.digest(),
            "checked_under_fault": {
                fault.value: {str(number): times for number, times in sorted(self.under.get(fault.value, {}).items())}
                for fault in Fault
            },
            "endings": dict(sorted(self.endings.items())),
            "first_violations": [
                {
                    "index": index,
                    "violations": [{"invariant": found.invariant, "what": found.what} for found in violations],
                    "program": program.to_json(),
                }
                for index, program, violations in self.violating
            ],
        }


_PROFILES_ALONE = Tools()


def run_program(program: Program, tools: Tools = _PROFILES_ALONE) -> tuple[Ran, Checked]:
    """Run one program and check it. Nothing outside it has a part in its course, not even earlier ones."""
    before = random.getstate()
    random.seed(program.seed)  # the pauses of the store's retries are drawn from the module's own generator
    try:
        ran = Simulation(program, tools).run()
    finally:
        random.setstate(before)
    enter(ran.world)  # whoever looks may have to ask a tool
    try:
        return ran, check(ran)
    finally:
        leave()


def run_programs(numbered: Iterable[tuple[int, Program]], tools: Tools = _PROFILES_ALONE) -> Findings:
    """Run these programs one after the other."""
    findings = Findings()
    for index, program in numbered:
        ran, checked = run_program(program, tools)
        findings.add(index, program, ran, checked)
    return findings


def run_generated(seed: int, count: int, *, processes: int = 1) -> tuple[Findings, float]:
    """Generate and run programs 0 to ``count`` of a seed; answers the findings and the seconds that it took. The
    findings do not depend on the number of processes."""
    began = time.monotonic()
    if processes <= 1 or count < 2 * processes:
        return _share(seed, range(count)), time.monotonic() - began
    findings = Findings()
    shares = [range(start, count, processes) for start in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for found in pool.map(_share, [seed] * processes, shares):
            findings.merge(found)
    return findings, time.monotonic() - began


def run_own(tools: Tools, seed: int, count: int) -> tuple[Findings, float]:
    """Generate and run programs of a user's own tools, in this process: nobody knows what theirs would share."""
    began = time.monotonic()
    numbered = ((index, generate(seed, index, tools.contracts)) for index in range(count))
    return run_programs(numbered, tools), time.monotonic() - began


def run_exhaustive(*, every: int = 1, processes: int = 1) -> tuple[Findings, float]:
    """Run all programs of ``infra.chaos.exhaustive``, or each so many-th of them."""
    began = time.monotonic()
    findings = Findings()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for found in pool.map(_exhaustive_share, [every] * processes, range(processes), [processes] * processes):
            findings.merge(found)
    return findings, time.monotonic() - began


def _exhaustive_share(every: int, mine: int, processes: int) -> Findings:
    return run_programs(islice(programs(every), mine, None, processes))


def _share(seed: int, indices: Sequence[int]) -> Findings:
    return run_programs((index, generate(seed, index)) for index in indices)
