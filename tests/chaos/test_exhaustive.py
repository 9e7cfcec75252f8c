"""Every single and double fault: the enumeration is complete, and a sample of it breaks no promise."""

from itertools import combinations_with_replacement

import pytest

from infra.chaos.exhaustive import PROFILES, cases, shapes, sites
from infra.chaos.faults import Fault
from infra.chaos.programs import STEP_FAULTS, hides_a_late_sender
from infra.chaos.run import run_exhaustive


@pytest.mark.parametrize(("size", "number"), [(1, 1), (2, 2), (3, 6), (4, 31)])
def test_there_are_as_many_shapes_as_unlabelled_acyclic_graphs(size: int, number: int) -> None:
    """The numbers are those of the On-Line Encyclopedia of Integer Sequences, A003087."""
    assert len(shapes(size)) == number
    assert all(on < step for shape in shapes(size) for step, depends_on in enumerate(shape) for on in depends_on)


def test_every_fault_is_put_everywhere() -> None:
    found = list(sites(3))
    assert {site.fault for site in found} == set(Fault)
    assert len(found) == 3 * len(STEP_FAULTS) + len(Fault) - len(STEP_FAULTS)


def test_every_shape_meets_every_profile_and_every_pair_of_faults() -> None:
    wanted = 0
    for size in range(1, 5):
        pairs = [pair for pair in combinations_with_replacement(sites(size), 2) if not hides_a_late_sender(pair)]
        wanted += len(shapes(size)) * len(PROFILES) * (len(list(sites(size))) + len(pairs))
    assert sum(1 for _ in cases()) == wanted


def test_a_sample_breaks_no_promise() -> None:
    findings, _ = run_exhaustive(every=2503, processes=1)
    assert [(program.to_json(), found[:3]) for _, program, found in findings.violating] == []
    assert findings.programs > 300
    assert len(findings.fired) > 25
