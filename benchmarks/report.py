"""The measurements as tables for people, or as one JSON document."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.layers import Spent
from benchmarks.machine import Machine
from benchmarks.saga import Cost, Durations, Rate

# (who, one saga in milliseconds, sagas per second with 20 at once)
PEERS = (
    ("DBOS on SQLite", "28", "35"),
    ("Restate", "19-28", "90"),
    ("LangGraph", "14", "71"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run of the benchmarks found out."""

    machine: Machine
    durations: Mapping[str, Durations]
    rates: Mapping[str, Rate]
    costs: tuple[Cost, ...]
    layers: tuple[Spent, ...]
    layers_total: float

    @property
    def growth(self) -> float | None:
        """Units per step of the longest chain, over those of the chain before it."""
        if len(self.costs) < 2:
            return None
        return self.costs[-1].units_per_step / self.costs[-2].units_per_step

    def to_json(self) -> dict[str, Any]:
        """Plain data; times in milliseconds, sizes in bytes."""
        return {
            "machine": asdict(self.machine),
            "durations": {name: asdict(found) for name, found in self.durations.items()},
            "rates": {name: asdict(found) for name, found in self.rates.items()},
            "costs": [{**asdict(cost), "units_per_step": cost.units_per_step} for cost in self.costs],
            "units_per_step_growth": self.growth,
            "processor_time_by_layer": [asdict(spent) for spent in self.layers],
            "processor_time_measured": self.layers_total,
        }

    def show(self, console: Console) -> None:
        """Print the tables."""
        console.print(f"{self.machine.cores} cores, Python {self.machine.python}; {self.machine.verdict}\n")
        console.print(self._times())
        console.print(_peers())
        console.print(self._consumption())
        console.print(self._sizes())
        console.print(self._time_by_layer())

    def _times(self) -> Table:
        table = _table("Sagas on the local cloud", "saga", "median ms", "p95 ms", "fastest ms", "processor ms", "runs")
        for name, one in self.durations.items():
            _row(table, name, one.median, one.p95, one.fastest, one.processor, one.runs)
        table.add_section()
        table.add_row("", "median ms", "per second", "", "processor ms", "runs")
        for name, rate in self.rates.items():
            _row(table, f"{name}, {rate.at_once} at once", rate.median, rate.per_second, "", rate.processor, rate.runs)
        return table

    def _consumption(self) -> Table:
        names = [f"{cost.steps} steps" for cost in self.costs]
        table = _table("What one chain consumes", "", *names)
        rows: dict[str, Sequence[float]] = {
            "state transitions": [cost.transitions for cost in self.costs],
            "Lambda invocations": [sum(cost.invocations.values()) for cost in self.costs],
            "DynamoDB calls": [cost.calls for cost in self.costs],
            "read units": [cost.read_units for cost in self.costs],
            "write units": [cost.write_units for cost in self.costs],
            "units per step": [cost.units_per_step for cost in self.costs],
        }
        for function in sorted({name for cost in self.costs for name in cost.invocations}):
            rows[f"  invocations of {function}"] = [cost.invocations.get(function, 0) for cost in self.costs]
        for name, values in rows.items():
            _row(table, name, *values)
        if self.growth is not None:
            table.caption = f"units per step grow by a factor of {self.growth:.3f} to the longest chain (at most 1.2)"
        return table

    def _sizes(self) -> Table:
        names = [f"{cost.steps} steps" for cost in self.costs]
        table = _table("Items that one chain leaves: median / largest, in bytes (how many)", "", *names)
        for kind in self.costs[0].sizes if self.costs else ():
            sizes = [cost.sizes[kind] for cost in self.costs]
            table.add_row(kind, *(f"{size.median:.0f} / {size.largest} ({size.count})" for size in sizes))
        return table

    def _time_by_layer(self) -> Table:
        table = _table("Processor time of a 5-step chain by layer, in ms", "layer", "running", "streams", "together")
        for spent in self.layers:
            _row(table, spent.layer, spent.running, spent.consuming, spent.running + spent.consuming)
        known = sum(spent.running + spent.consuming for spent in self.layers)
        _row(table, "between the layers: threads, queues, garbage", "", "", self.layers_total - known)
        _row(table, "all, while it is being measured", "", "", self.layers_total)
        return table


def _peers() -> Table:
    table = _table(
        "Measured earlier on 2 cores, NOT in this run, and without a ledger of effects", "", "ms", "per second"
    )
    for peer in PEERS:
        table.add_row(*peer)
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, caption_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _row(table: Table, name: str, *values: float | str) -> None:
    table.add_row(name, *(f"{value:.1f}" if isinstance(value, float) else str(value) for value in values))
