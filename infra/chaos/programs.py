"""Generated programs: a plan, how each step's provider behaves, and the faults that strike. A program is data."""

import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, get_args

from apex.errors import InvalidInput
from apex.schema.contract import Contract
from apex.schema.plan import Plan, Step
from infra.chaos.faults import NO_STEP, Fault, PlannedFault
from infra.chaos.profiles import PROFILES
from infra.chaos.providers import Nature

CONTRACTS: Mapping[str, Contract] = MappingProxyType({name: tool.contract for name, tool in PROFILES.items()})
EFFECTFUL = tuple(name for name in PROFILES if name != "read_only")

STEP_FAULTS = frozenset(
    {
        Fault.BEFORE_INTENT, Fault.AFTER_INTENT, Fault.AFTER_EFFECT, Fault.AFTER_OUTCOME, Fault.DURING_UNDO,
        Fault.AFTER_COMPENSATION, Fault.ZOMBIE, Fault.LATE_SENDER, Fault.UNDO_ZOMBIE, Fault.REPLY_LOST,
        Fault.LANDS_LATE, Fault.UNAVAILABLE, Fault.PROBE_UNAVAILABLE, Fault.UNDO_FAILS, Fault.UNDO_REPLY_LOST,
        Fault.DUPLICATE_DELIVERY, Fault.REORDERED_DELIVERY, Fault.SLOW,
    }
)  # fmt: skip
"""Faults that strike a certain step; the others strike the n-th occasion of the run, whatever it is."""

ROLLBACK_FAULTS = frozenset(
    {
        Fault.DURING_UNDO, Fault.AFTER_COMPENSATION, Fault.UNDO_ZOMBIE, Fault.UNDO_FAILS, Fault.UNDO_REPLY_LOST,
        Fault.PROBE_UNAVAILABLE, Fault.ROLLBACK_STOPPED, Fault.OPERATOR_RESUMES,
    }
)  # fmt: skip
"""Faults that need a rollback to strike."""

_WITHOUT_REPLY = frozenset(
    {Fault.REPLY_LOST, Fault.LANDS_LATE, Fault.AFTER_EFFECT, Fault.ZOMBIE, Fault.APPEND_REJECTED, Fault.APPEND_CONFLICT}
)
"""Faults after which a request that left too late (``LATE_SENDER``) might have nobody to report its effect."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step: on which earlier steps it depends (by position), its contract profile, and what its provider thinks."""

    profile: str
    depends_on: tuple[int, ...] = ()
    nature: Nature = "grants"


@dataclass(frozen=True, slots=True)
class Program:
    """What one run is made of; the same program takes the same course every time."""

    seed: str
    steps: tuple[PlannedStep, ...]
    faults: tuple[PlannedFault, ...] = ()
    tenants: int = 1

    def plan(self, inputs: Mapping[str, Sequence[dict[str, Any]]] = MappingProxyType({})) -> Plan:
        """The plan that is submitted. A step of a profile refers to the results of the profiles' steps that it depends
        on; a user's own tool is given one of its ``inputs``."""
        return Plan(steps=tuple(self._step(at, inputs) for at in range(len(self.steps))))

    def _step(self, at: int, inputs: Mapping[str, Sequence[dict[str, Any]]]) -> Step:
        step = self.steps[at]
        if step.profile in inputs:
            given = inputs[step.profile][at % len(inputs[step.profile])]
        else:
            results = [f"{{{{s{on + 1}.ref}}}}" for on in step.depends_on if self.steps[on].profile not in inputs]
            given = {"what": f"no {at + 1}", "given": results}
        depends_on = tuple(f"s{on + 1}" for on in step.depends_on)
        return Step(id=f"s{at + 1}", tool=step.profile, input=given, depends_on=depends_on)

    def natures(self) -> dict[str, str]:
        """What the providers think, by step id."""
        return {f"s{at + 1}": step.nature for at, step in enumerate(self.steps)}

    def to_json(self) -> str:
        """The program as text that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, tools: Collection[str] = ()) -> "Program":
        """Read a program of the profiles and of these tools; raises ``InvalidInput`` where it is none."""
        try:
            data = json.loads(text)
            steps = tuple(_step(step, {*PROFILES, *tools}) for step in data["steps"])
            faults = tuple(PlannedFault(**{**fault, "fault": Fault(fault["fault"])}) for fault in data["faults"])
            return cls(seed=str(data["seed"]), steps=steps, faults=faults, tenants=int(data.get("tenants", 1)))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"this is not a program: {error}") from error


def _step(data: Mapping[str, Any], known: Collection[str]) -> PlannedStep:
    if data["profile"] not in known or data.get("nature", "grants") not in get_args(Nature):
        raise ValueError(f"there is no profile {data['profile']} or no nature {data.get('nature')}")
    return PlannedStep(data["profile"], tuple(data["depends_on"]), data.get("nature", "grants"))


def generate(seed: int, index: int, contracts: Mapping[str, Contract] = CONTRACTS) -> Program:
    """The program of that number, made of tools with these contracts; the same arguments always give the same one."""
    draw = random.Random(f"{seed}/{index}")  # noqa: S311 - reproducible on purpose
    steps = _steps(draw, list(contracts))
    wanted = draw.choices((0, 1, 2, 3), (1, 4, 6, 6))[0]
    faults: list[PlannedFault] = []
    for _ in range(wanted):
        fault = _fault(draw, len(steps))
        if faults and faults[0].step != NO_STEP and draw.random() < 0.5:
            fault = replace(fault, step=faults[0].step)  # trouble seldom comes alone
        if not hides_a_late_sender([*faults, fault]):
            faults.append(fault)
    if any(fault.fault in ROLLBACK_FAULTS for fault in faults):
        steps = _failing(draw, steps)
    steps = _with_much(draw, steps, faults)
    faults = [_within_memory(fault, steps, {**CONTRACTS, **contracts}) for fault in faults]
    tenants = 2 if draw.random() < 0.15 else 1
    return Program(f"{seed}/{index}", tuple(steps), tuple(faults), tenants)


def _steps(draw: random.Random, profiles: Sequence[str]) -> list[PlannedStep]:
    shape = draw.choice((chain, fan, diamond, any_graph))
    edges = shape(draw.randint(1, 6), draw)
    one_profile = draw.choice(profiles) if draw.random() < 0.2 else None
    return [PlannedStep(one_profile or draw.choice(profiles), tuple(on), _nature(draw)) for on in edges]


def _nature(draw: random.Random) -> Nature:
    natures: tuple[Nature, ...] = ("grants", "refuses", "refuses_a_second_call", "grants_much")
    return draw.choices(natures, (80, 12, 5, 3))[0]


def chain(size: int, draw: random.Random) -> list[list[int]]:  # noqa: ARG001 - all shapes are drawn alike
    """Each step after the one before."""
    return [[at - 1] if at else [] for at in range(size)]


def fan(size: int, draw: random.Random) -> list[list[int]]:  # noqa: ARG001
    """One step, and then all the others side by side."""
    return [[0] if at else [] for at in range(size)]


def diamond(size: int, draw: random.Random) -> list[list[int]]:  # noqa: ARG001
    """One step, several side by side, and one after all of these."""
    middle = list(range(1, size - 1))
    return [[], *([0] for _ in middle), middle or [0]][:size] if size > 1 else [[]]


def any_graph(size: int, draw: random.Random) -> list[list[int]]:
    """Any acyclic graph."""
    return [[on for on in range(at) if draw.random() < 0.35] for at in range(size)]


def _failing(draw: random.Random, steps: Sequence[PlannedStep]) -> list[PlannedStep]:
    """Most faults of a rollback strike only where there is one: the last step is refused, or cannot be told."""
    if draw.random() < 0.15:
        return list(steps)
    last = PlannedStep(draw.choice(EFFECTFUL), (len(steps) - 1,), "refuses")
    return [*steps, last] if len(steps) < 6 else [*steps[:-1], replace(steps[-1], nature="refuses")]


def _with_much(draw: random.Random, steps: list[PlannedStep], faults: Sequence[PlannedFault]) -> list[PlannedStep]:
    if not any(fault.fault is Fault.PAYLOAD_OVERSIZED for fault in faults):
        return steps
    at = draw.randrange(len(steps))
    profile = steps[at].profile if steps[at].profile != "transactional" else "keyed_probed_fencing"
    return [*steps[:at], replace(steps[at], profile=profile, nature="grants_much"), *steps[at + 1 :]]


def _fault(draw: random.Random, size: int) -> PlannedFault:
    fault = draw.choice(list(Fault))
    nth, times, delay = _occasion(draw, fault)
    step = draw.randrange(size) if fault in STEP_FAULTS else 0
    if fault in {Fault.DUPLICATE_DELIVERY, Fault.REORDERED_DELIVERY} and draw.random() < 0.25:
        step = NO_STEP
    return PlannedFault(fault, step, nth, times, delay)


_RUN_OR_UNDO = (0, 0, 1, 1, 2)
"""A step's first call is its run; where that succeeds the second is its undo."""
_LONG = (16.0, 25.0, 40.0, 90.0, 400.0)
"""Seconds beyond a function's deadline, a lease, and every lease together."""
_SPREADS: Mapping[Fault, tuple[Sequence[int], Sequence[int], Sequence[float]]] = {
    Fault.AFTER_INTENT: ((0,), (1, 1, 2, 3), (0.0,)),
    Fault.AFTER_EFFECT: ((0,), (1, 1, 2, 3), (0.0,)),
    Fault.DURING_UNDO: ((0,), (1, 1, 2, 3), (0.0,)),
    Fault.UNDO_FAILS: ((0,), (1, 2, 3, 4), (0.0,)),
    Fault.SLOW: ((0, 0, 1, 1), (1, 2, 3), (0.0,)),
    Fault.UNAVAILABLE: ((0,), (1, 1, 2, 6), (0.0,)),
    Fault.PROBE_UNAVAILABLE: ((0,), (1, 1, 2, 6), (0.0,)),
    Fault.REPLY_LOST: ((0,), (1, 1, 2, 6), (0.0,)),
    Fault.LANDS_LATE: ((0, 0, 1, 2), (1, 1, 2), (0.2, 0.5, 0.8, 1.0)),
    Fault.ZOMBIE: ((0,), (1,), _LONG),
    Fault.LATE_SENDER: ((0,), (1,), _LONG),
    Fault.UNDO_ZOMBIE: ((0,), (1,), _LONG),
    Fault.REORDERED_DELIVERY: (_RUN_OR_UNDO, (1,), (0.05, 0.5, 3.0, 10.0, 30.0, 120.0)),
    Fault.DUPLICATE_DELIVERY: (_RUN_OR_UNDO, (1,), (0.0, 0.02, 0.1, 0.3)),
    Fault.OPERATOR_COMPENSATES: (range(2, 21), (1,), (0.0, 0.01, 0.1, 1.0, 30.0)),
    Fault.APPEND_CONFLICT: (range(13), range(1, 9), (0.0,)),
    Fault.APPEND_TIMED_OUT: (range(19), (1, 1, 2, 5), (0.0,)),
    Fault.APPEND_REJECTED: (range(19), (1, 1, 2, 5), (0.0,)),
    Fault.THROTTLED: (range(40), (1, 1, 2, 5), (0.0,)),
    Fault.EXECUTION_STOPPED: (range(11), (1,), (0.0,)),
    Fault.INVOCATION_REFUSED: (range(11), (1, 1, 3), (0.0,)),
    Fault.ROLLBACK_STOPPED: (range(7), (1,), (0.0,)),
    Fault.START_LOST: (range(2), (1,), (0.0,)),
}
"""For each fault the occasions that may pass before it, how often it may strike in a row, and its delays."""


def _occasion(draw: random.Random, fault: Fault) -> tuple[int, int, float]:
    nth, times, delay = _SPREADS.get(fault, ((0,), (1,), (0.0,)))
    return draw.choice(nth), draw.choice(times), draw.choice(delay)


def _within_memory(
    fault: PlannedFault, steps: Sequence[PlannedStep], contracts: Mapping[str, Contract]
) -> PlannedFault:
    """A request held up beyond a provider's memory of its key is applied again, whatever anybody does: contracts
    exclude it, and so does the simulator."""
    remembers = contracts[steps[fault.step].profile].idempotency_window.total_seconds()
    if fault.fault is Fault.LATE_SENDER and remembers:
        return replace(fault, delay=min(fault.delay, remembers * 2 / 3))
    return fault


def hides_a_late_sender(faults: Sequence[PlannedFault]) -> bool:
    """A request that leaves after its deadline breaks the contract, and only the attempt itself can tell. If that
    attempt is lost too, or a person has said before that there is nothing, nobody can know: such pairs prove nothing,
    and are left out."""
    late = {fault.step for fault in faults if fault.fault is Fault.LATE_SENDER}
    silent = {fault.step for fault in faults if fault.fault in _WITHOUT_REPLY and fault.fault in STEP_FAULTS}
    anywhere = any(
        fault.fault is Fault.OPERATOR_RESUMES or (fault.fault in _WITHOUT_REPLY and fault.fault not in STEP_FAULTS)
        for fault in faults
    )
    return bool(late & silent) or bool(late and anywhere)
