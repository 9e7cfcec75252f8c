"""Makes a program that breaks a promise smaller, for as long as it still breaks one of the same promises."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from infra.chaos.faults import PlannedFault
from infra.chaos.programs import PlannedStep, Program

Breaks = Callable[[Program], frozenset[int]]
"""Runs a program and answers the numbers of the invariants that it breaks."""

_PLAIN = "keyed_probed_fencing"
_MOST_RUNS = 400


def shrink(program: Program, breaks: Breaks) -> Program:
    """The smallest program found: fewer faults, then fewer steps, then simpler ones. Stops after a few hundred runs."""
    broken = breaks(program)
    runs = 0
    smaller = True
    while smaller and runs < _MOST_RUNS:
        smaller = False
        for candidate in candidates(program):
            runs += 1
            if breaks(candidate) & broken:
                program, smaller = candidate, True
                break
            if runs >= _MOST_RUNS:
                break
    return program


def candidates(program: Program) -> Iterator[Program]:
    """Programs that are one step simpler, the simplest first."""
    if program.tenants > 1:
        yield replace(program, tenants=1)
    for at in range(len(program.faults)):
        yield replace(program, faults=(*program.faults[:at], *program.faults[at + 1 :]))
    for at in reversed(range(len(program.steps))):
        if len(program.steps) > 1:
            yield _without_step(program, at)
    for at, fault in enumerate(program.faults):
        for simpler in _simpler_faults(fault):
            yield replace(program, faults=(*program.faults[:at], simpler, *program.faults[at + 1 :]))
    for at, step in enumerate(program.steps):
        for plainer in _simpler_steps(step):
            yield replace(program, steps=(*program.steps[:at], plainer, *program.steps[at + 1 :]))


def _without_step(program: Program, gone: int) -> Program:
    """Later steps move up; who depended on the step depends on what that depended on."""

    def moved(on: int) -> int:
        return on - 1 if on > gone else on

    steps = []
    for at, step in enumerate(program.steps):
        if at == gone:
            continue
        depends_on = {moved(on) for on in step.depends_on if on != gone}
        if gone in step.depends_on:
            depends_on |= {moved(on) for on in program.steps[gone].depends_on}
        steps.append(replace(step, depends_on=tuple(sorted(depends_on))))
    faults = tuple(replace(fault, step=min(moved(fault.step), len(steps) - 1)) for fault in program.faults)
    return replace(program, steps=tuple(steps), faults=faults)


def _simpler_faults(fault: PlannedFault) -> Iterator[PlannedFault]:
    if fault.times > 1:
        yield replace(fault, times=fault.times - 1)
    if fault.nth > 0:
        yield replace(fault, nth=0)
        yield replace(fault, nth=fault.nth - 1)


def _simpler_steps(step: PlannedStep) -> Iterator[PlannedStep]:
    if step.nature != "grants":
        yield replace(step, nature="grants")
    if step.profile != _PLAIN:
        yield replace(step, profile=_PLAIN)
    if step.depends_on:
        yield replace(step, depends_on=())
