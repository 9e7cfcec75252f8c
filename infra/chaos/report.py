"""The part of docs/reliability.md that tells what the simulator does: its faults, and what is checked when they strike.

The numbers come from docs/chaos.json, which ``apex chaos --programs 10000 --seed 1 --json`` wrote.
"""

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from infra.chaos import faults
from infra.chaos.faults import Fault

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "chaos.json"
INVARIANTS: Mapping[int, str] = {
    1: "at most one effect per key",
    2: "every effect is settled in the end",
    3: "undo in reverse start order, one at a time",
    4: "late effects are undone too",
    5: "undoing nothing leaves a fence",
    6: "the journal is gapless and tells what the ledger tells",
    8: "tenants stay apart",
    12: "everything ends within its deadline",
}


def faults_and_invariants() -> str:
    """The reference run as a table: one row per fault, one column per invariant."""
    run = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return "\n".join([*_summary(run), "", *_table(run), "", *_legend()])


def _summary(run: Mapping[str, Any]) -> Iterator[str]:
    endings = ", ".join(f"{times} {mode}" for mode, times in run["endings"].items())
    yield (
        f"`apex chaos --programs {run['programs']} --seed {run['seed']} --json` ended with "
        f"{run['violations']} violations; its workflows ended {endings}. A number says how often the invariant was "
        "checked in runs in which the fault struck."
    )


def _table(run: Mapping[str, Any]) -> Iterator[str]:
    yield "| fault | what happens | struck | " + " | ".join(str(number) for number in INVARIANTS) + " |"
    yield "|---|---|---:|" + "---:|" * len(INVARIANTS)
    about = descriptions()
    for fault in Fault:
        checked = run["checked_under_fault"].get(fault.value, {})
        counts = " | ".join(str(checked.get(str(number), 0)) for number in INVARIANTS)
        yield f"| {fault.value} | {about[fault.name]} | {run['faults_fired'].get(fault.value, 0)} | {counts} |"


def _legend() -> Iterator[str]:
    for number, text in INVARIANTS.items():
        yield f"* **{number}**: {text}"


def descriptions() -> dict[str, str]:
    """What is said about each fault below its name in the source; Python itself does not keep such texts."""
    tree = ast.parse(inspect.getsource(faults))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == Fault.__name__).body
    found = {}
    for named, text in pairwise(body):
        if isinstance(named, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            target = named.targets[0]
            if isinstance(target, ast.Name):
                found[target.id] = str(text.value.value).rstrip(".")
    return found
