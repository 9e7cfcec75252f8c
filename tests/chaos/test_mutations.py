"""The simulator sees what it is there to see: each safeguard is taken out of a copy of the source, and must be missed.

No switch for this ships; the copy is edited as text. The copy's own simulator runs in a process of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APEX = Path("layers/core/python/apex")
# An undo that is asked for twice while the provider takes its time: rare among generated programs.
_POINTED = """{"seed": "pointed", "steps": [
  {"profile": "keyed_probed_fencing", "depends_on": []},
  {"profile": "keyed_probed_fencing", "depends_on": [0], "nature": "refuses"}],
"faults": [
  {"fault": "duplicate_delivery", "step": 0, "nth": 1, "delay": 0.1}, {"fault": "slow", "step": 0, "nth": 1}]}"""
_RUN = """
import json, sys
from infra.chaos.programs import Program, generate
from infra.chaos.run import run_program

for index in range(int(sys.argv[1])):
    _, checked = run_program(generate(1, index) if index else Program.from_json(sys.argv[2]))
    if checked.violations:
        break
broken = sorted({found.invariant for found in checked.violations})
print(json.dumps({"index": index, "broken": broken, "what": [found.what for found in checked.violations][:3]}))
"""


@dataclass(frozen=True)
class Mutation:
    """A safeguard taken out: in each file, what is replaced by what. ``within`` so many programs it must be missed."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    within: int = 600


MUTATIONS = (
    Mutation(
        "the fence",
        (
            ("app/rollback.py", "    _fence(house, head, ", "    _ = (house, head, "),
            ("workflow/decisions.py", 'UndoDecision("fence"', 'UndoDecision("nothing"'),
        ),
    ),
    Mutation("the lease check of a run", (("workflow/decisions.py", "if now < entry.lease_until:", "if False:"),)),
    Mutation(
        "the lease check of an undo",
        (
            (
                "workflow/decisions.py",
                "if entry.lease_until is not None and now < entry.lease_until:\n        return UndoDecision",
                "if False:\n        return UndoDecision",
            ),
        ),
    ),
    Mutation(
        "the attempt-id condition",
        (("adapters/dynamodb/commits.py", '"#state = :state AND attempt_id = :attempt"', '"#state = :state"'),),
    ),
    Mutation(
        "the head's check of mode and generation",
        (
            (
                "adapters/dynamodb/commits.py",
                "            check_expectations(change, head)\n",
                "            change = __import__('dataclasses').replace(change, modes=None, generation=None)\n",
            ),
        ),
    ),
    Mutation("the reverse order", (("workflow/waves.py", "sorted(started, reverse=True)", "sorted(started)"),)),
)


def mutated(mutation: Mutation, folder: Path) -> Path:
    """A copy of the source with the mutation; every edit must find its place."""
    for part in ("layers/core/python/apex", "infra", "statemachines"):
        shutil.copytree(ROOT / part, folder / part)
    for name, old, new in mutation.edits:
        path = folder / APEX / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} no longer holds {old!r}: the mutation has to follow the source"
        path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def run_copy(folder: Path, programs: int) -> dict[str, object]:
    # What a copy runs says nothing about how well the source is covered.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment = {**inherited, "PYTHONPATH": f"{folder / 'layers/core/python'}{os.pathsep}{folder}"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(programs), _POINTED],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_missing_safeguard_is_found(mutation: Mutation, tmp_path: Path) -> None:
    found = run_copy(mutated(mutation, tmp_path), mutation.within)
    assert found["broken"], f"nobody missed {mutation.name}"


def test_the_source_as_it_is_holds_in_a_copy_too(tmp_path: Path) -> None:
    """Otherwise the mutations would prove nothing."""
    found = run_copy(mutated(Mutation("nothing", ()), tmp_path), 60)
    assert found == {"index": 59, "broken": [], "what": []}
