"""Every promise holds in generated programs, every fault strikes, and a program always takes the same course."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.errors import InvalidInput
from apex.schema.ledger import Mode
from infra.chaos.faults import Fault, PlannedFault
from infra.chaos.profiles import PROFILES
from infra.chaos.programs import PlannedStep, Program, generate
from infra.chaos.run import run_generated, run_program
from infra.chaos.shrink import candidates, shrink

PROGRAMS = 500
PROMISES = {0, 1, 2, 3, 4, 5, 6, 8, 12}


def test_five_hundred_programs_break_no_promise_and_every_fault_strikes() -> None:
    findings, _ = run_generated(1, PROGRAMS)
    told = [(index, [found.what for found in found_here][:3]) for index, _, found_here in findings.violating]
    assert told == []
    assert findings.programs == PROGRAMS
    assert {fault.value for fault in Fault} == set(findings.fired)
    assert set(findings.checked) == PROMISES
    assert set(findings.endings) >= {"COMPLETED", "FAILED", "PARKED"}


def test_a_program_takes_the_same_course_in_every_process() -> None:
    mine = [run_program(generate(7, index))[0].digest for index in range(12)]
    script = (
        "from infra.chaos.run import run_program\nfrom infra.chaos.programs import generate\n"
        "print([run_program(generate(7, index))[0].digest for index in reversed(range(12))])"
    )
    for salt in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout.replace("'", '"')) == mine[::-1]


def test_the_number_of_processes_changes_nothing() -> None:
    alone, _ = run_generated(3, 40, processes=1)
    shared, _ = run_generated(3, 40, processes=2)
    assert shared.document(3, 0.0) == alone.document(3, 0.0)


def test_other_seeds_make_other_programs() -> None:
    assert generate(1, 1) != generate(2, 1)
    assert len({generate(1, index).to_json() for index in range(50)}) == 50


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_program_is_data(seed: int, index: int) -> None:
    program = generate(seed, index)
    assert Program.from_json(program.to_json()) == program


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"seed": "1", "steps": [{"profile": "nobody", "depends_on": []}], "faults": []}']
)
def test_what_is_no_program_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a program"):
        Program.from_json(text)


# ── single promises, on programs made for them ──────────────────────────────────────────────────────────────────


def chain(*profiles: str, faults: tuple[PlannedFault, ...] = (), refused: bool = False) -> Program:
    steps = [PlannedStep(profile, (at - 1,) if at else ()) for at, profile in enumerate(profiles)]
    if refused:
        steps.append(PlannedStep("keyed_probed_fencing", (len(steps) - 1,), "refuses"))
    return Program("made by hand", tuple(steps), faults)


@pytest.mark.parametrize("profile", PROFILES)
def test_without_faults_every_profile_completes(profile: str) -> None:
    ran, checked = run_program(chain(profile, profile))
    assert checked.violations == []
    assert ran.heads[0].mode is Mode.COMPLETED


@pytest.mark.parametrize("profile", PROFILES)
def test_a_refused_step_undoes_what_can_be_undone(profile: str) -> None:
    ran, checked = run_program(chain(profile, profile, refused=True))
    assert checked.violations == []
    assert ran.heads[0].mode is (Mode.PARKED if profile == "irreversible" else Mode.FAILED)


@pytest.mark.parametrize("boundary", range(9))
def test_an_execution_stopped_from_outside_is_settled_within_a_minute(boundary: int) -> None:
    """It ends FAILED with everything undone, or COMPLETED, by itself."""
    program = chain(*["keyed_probed_fencing"] * 3, faults=(PlannedFault(Fault.EXECUTION_STOPPED, nth=boundary),))
    ran, checked = run_program(program)
    assert checked.violations == []
    assert ran.plot.fired[Fault.EXECUTION_STOPPED] == 1
    assert ran.heads[0].mode in {Mode.FAILED, Mode.COMPLETED}
    ended = ran.watch.ended(ran.refs[0])
    assert ended is not None
    assert (ended - ran.heads[0].created_at).total_seconds() <= 60


def test_a_lost_reply_is_found_out_and_the_effect_is_there_once() -> None:
    ran, checked = run_program(chain("unkeyed_probed", faults=(PlannedFault(Fault.REPLY_LOST),)))
    assert checked.violations == []
    assert ran.heads[0].mode is Mode.COMPLETED
    assert [len(times) for times in ran.world.ledger.applied.values()] == [1]


def test_an_effect_after_its_compensation_is_undone_too() -> None:
    late = PlannedFault(Fault.LATE_SENDER, delay=400.0)
    ran, checked = run_program(chain("unkeyed_tolerant", "keyed_probed_fencing", faults=(late,)))
    assert checked.violations == []
    kinds = [event.type for event in ran.store.events(ran.refs[0]) if getattr(event, "step_id", None) == "s1"]
    assert kinds[kinds.index("LateEffectDetected") - 1] == "CompensationCompleted"
    assert kinds[-1] == "CompensationCompleted"
    assert ran.heads[0].mode is Mode.FAILED
    assert sum(len(times) for times in ran.world.ledger.applied.values()) == 1
    assert sum(len(times) for times in ran.world.ledger.undone.values()) == 1


# ── shrinking ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_shrinking_finds_the_one_step_and_the_one_fault_that_matter() -> None:
    program = replace(
        generate(1, 0),
        steps=tuple(PlannedStep("keyed_briefly", (at - 1,) if at else ()) for at in range(5)),
        faults=(PlannedFault(Fault.SLOW), PlannedFault(Fault.ZOMBIE, step=3, times=2), PlannedFault(Fault.THROTTLED)),
        tenants=2,
    )

    def breaks(candidate: Program) -> frozenset[int]:
        guilty = any(fault.fault is Fault.ZOMBIE for fault in candidate.faults)
        return (
            frozenset({1})
            if guilty and any(step.profile == "keyed_briefly" for step in candidate.steps)
            else frozenset()
        )

    smallest = shrink(program, breaks)
    assert [step.profile for step in smallest.steps] == ["keyed_briefly"]
    assert [(fault.fault, fault.times, fault.step) for fault in smallest.faults] == [(Fault.ZOMBIE, 1, 0)]
    assert smallest.tenants == 1


@given(st.integers(0, 10**4))
def test_every_smaller_program_is_a_program(index: int) -> None:
    for candidate in candidates(generate(5, index)):
        steps = candidate.plan().steps
        assert all(on in {step.id for step in steps[:at]} for at, step in enumerate(steps) for on in step.depends_on)
        assert all(fault.step < len(steps) for fault in candidate.faults)
