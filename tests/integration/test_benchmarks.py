"""The benchmarks measure what they say, and what a saga consumes stays in proportion to its steps."""

import io
import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from apex.app.submit import Goal
from apex.errors import LocalCloudError
from apex.schema.plan import Plan, Step
from benchmarks import machine, saga
from benchmarks.machine import Machine, Watch
from benchmarks.report import Report
from benchmarks.system import System, goal
from benchmarks.units import Units, units_of_new_clients


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[System, Units]]:
    with units_of_new_clients() as units, System() as system:
        yield system, units


@pytest.fixture(scope="module")
def costs(bench: tuple[System, Units]) -> dict[int, saga.Cost]:
    return {length: saga.consumed(*bench, length) for length in (5, 20, 100)}


def test_a_chain_costs_four_transitions_and_two_per_step(costs: dict[int, saga.Cost]) -> None:
    assert {length: cost.transitions for length, cost in costs.items()} == {5: 14, 20: 44, 100: 204}


def test_each_step_is_one_invocation(costs: dict[int, saga.Cost]) -> None:
    for length, cost in costs.items():
        assert cost.invocations["tool-create_record"] == length
        assert cost.invocations["find-plan"] == cost.invocations["close-workflow"] == 1


def test_units_per_step_hardly_grow_with_the_length_of_a_plan(costs: dict[int, saga.Cost]) -> None:
    assert 1 < costs[20].units_per_step < 40
    assert costs[100].units_per_step <= 1.2 * costs[20].units_per_step


def test_head_and_ledger_entries_stay_as_small_as_they_are(costs: dict[int, saga.Cost]) -> None:
    for kind in ("head", "ledger entry", "step specification"):
        assert costs[100].sizes[kind].largest <= costs[5].sizes[kind].largest + 64
    counts = {"head": 1, "journal event": 13, "ledger entry": 5, "step specification": 5, "submitted plan": 1}
    assert counts.items() <= {kind: sizes.count for kind, sizes in costs[5].sizes.items()}.items()


def test_a_workflow_that_does_not_complete_is_no_measurement(bench: tuple[System, Units]) -> None:
    system, _ = bench
    impossible = Plan(steps=(Step(id="s1", tool="create_record", input={}),))
    with pytest.raises(LocalCloudError, match="nothing to measure"):
        system.run(goal("impossible", plan=impossible))


def test_the_report_holds_what_was_measured(bench: tuple[System, Units], costs: dict[int, saga.Cost]) -> None:
    system, _ = bench

    def answer() -> Goal:
        return saga.answer()

    watch = Watch()
    durations = saga.one_after_the_other(system, answer, 3)
    rate = saga.side_by_side(system, answer, 6, at_once=3)
    layers, total = saga.where_time_goes(system, answer, 3)
    report = Report(watch.end(), {"answer": durations}, {"answer": rate}, tuple(costs.values()), tuple(layers), total)

    assert 0 < durations.fastest <= durations.median <= durations.p95
    assert rate.per_second > 0
    assert 0 < sum(spent.running + spent.consuming for spent in layers) <= total * 1.05
    data = report.to_json()
    assert [cost["steps"] for cost in data["costs"]] == [5, 20, 100]
    assert data["units_per_step_growth"] == pytest.approx(costs[100].units_per_step / costs[20].units_per_step)
    assert replace(report, costs=report.costs[:1]).growth is None

    console = Console(record=True, width=120, file=io.StringIO())
    report.show(console)
    shown = console.export_text()
    assert "state transitions" in shown
    assert "NOT in this run" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("others", "expected"), [(None, "not known"), (0.02, "2% of it, so it was quiet"), (0.5, "NOT quiet")]
)
def test_a_report_says_whether_the_machine_was_quiet(others: float | None, expected: str) -> None:
    assert expected in Machine(2, "3.11", 0.5, others).verdict


def test_work_of_this_process_is_not_work_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    for name, readings in {"_busy_seconds": [100.0, 107.0], "_own_seconds": [1.0, 4.0]}.items():
        monkeypatch.setattr(machine, name, iter(readings).__next__)
    monkeypatch.setattr(time, "monotonic", iter([50.0, 60.0]).__next__)
    assert Watch().end().others == pytest.approx((7 - 3) / (10 * 2))
