"""Measure and print: ``python -m benchmarks [--json] [--runs N]``."""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from apex.app.submit import Goal
from benchmarks import saga
from benchmarks.machine import Watch
from benchmarks.report import Report
from benchmarks.system import System
from benchmarks.units import units_of_new_clients

_AT_ONCE = 20
_LENGTHS = (5, 20, 100)


def main() -> None:
    """Run all measurements: less than a minute on two quiet cores."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument(
        "--runs", type=int, default=50, help="sagas one after the other (50); at once: four times as many"
    )
    given = parser.parse_args()
    if given.runs < 2:
        parser.error("--runs must be at least 2")
    report = measure(given.runs)
    if given.json:
        json.dump(report.to_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        report.show(Console())


def measure(runs: int) -> Report:
    """All measurements, on two local clouds: one in memory only, and one that keeps everything on disk."""
    watch = Watch()
    with units_of_new_clients() as units, System() as system:
        durations = {
            "5-step chain": saga.one_after_the_other(system, five_steps, runs),
            "one answer, no effect": saga.one_after_the_other(system, saga.answer, runs),
        }
        rates = {"5-step chain": saga.side_by_side(system, five_steps, 4 * runs, _AT_ONCE)}
        durations["the trip"] = saga.one_after_the_other(system, saga.trip, runs, reset=True)
        layers, total = saga.where_time_goes(system, five_steps, runs)
        costs = tuple(saga.consumed(system, units, length) for length in _LENGTHS)
    with TemporaryDirectory() as folder, System(Path(folder)) as kept:
        durations["5-step chain on disk"] = saga.one_after_the_other(kept, five_steps, runs)
        rates["5-step chain on disk"] = saga.side_by_side(kept, five_steps, 4 * runs, _AT_ONCE)
    return Report(watch.end(), durations, rates, costs, tuple(layers), total)


def five_steps() -> Goal:
    """The saga that everything is compared by."""
    return saga.chain(5)


if __name__ == "__main__":
    main()
