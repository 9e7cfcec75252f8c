"""Measure and print: ``python -m benchmarks [--json] [--runs N]``."""

import argparse
import json
import os
import sys

from rich.console import Console

from benchmarks import saga
from benchmarks.report import Report
from benchmarks.system import System
from benchmarks.units import units_of_new_clients

_AT_ONCE = 20
_LENGTHS = (5, 20, 100)


def main() -> None:
    """Run all measurements, longest first at the end; about a minute on two quiet cores."""
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
    """All measurements on one local cloud."""
    load = os.getloadavg()[0]
    with units_of_new_clients() as units, System() as system:
        durations = {
            "5-step chain": saga.one_after_the_other(system, lambda: saga.chain(5), runs),
            "one answer, no effect": saga.one_after_the_other(system, saga.answer, runs),
        }
        rates = {"5-step chain": saga.side_by_side(system, lambda: saga.chain(5), 4 * runs, _AT_ONCE)}
        durations["the trip"] = saga.one_after_the_other(system, saga.trip, runs, reset=True)
        layers, total = saga.where_time_goes(system, lambda: saga.chain(5), runs)
        costs = tuple(saga.consumed(system, units, length) for length in _LENGTHS)
    return Report(load, durations, rates, costs, tuple(layers), total)


if __name__ == "__main__":
    main()
