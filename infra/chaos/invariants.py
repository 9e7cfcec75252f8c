"""The promises of the design as checks of a run that is over. The providers' own ledger is the witness.

Checked here are the invariants 1 to 6, 8 and 12. The others belong to parts that are not under test: 7 is checked on
stored journals, 9 and 10 concern approvals and budgets, 11 locks. Number 0 is no promise but a matter of course:
functions fail with the project's own errors only, and nothing is parked without need.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import pairwise

from apex.errors import ApexError
from apex.schema.contract import Effect, UndoOfAbsent
from apex.schema.events import (
    CompensationCompleted,
    CompensationStarted,
    JournalEvent,
    RollbackStarted,
    StepFenced,
    StepParked,
    StepRetried,
    ToolCallRequested,
)
from apex.schema.ids import WorkflowRef, effect_key
from apex.schema.ledger import EffectState, Entry, Head, Mode
from apex.schema.plan import Step
from apex.workflow.fold import WorkflowState, fold
from infra.chaos.asl import TaskFailed, definition
from infra.chaos.simulation import Ran
from infra.chaos.stream import stream_problems
from infra.chaos.world import WorldCall

_ENDED = frozenset(
    {
        EffectState.CONFIRMED, EffectState.COMPENSATED, EffectState.REJECTED, EffectState.FENCED, EffectState.PARKED,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: the number of the invariant, and how."""

    invariant: int
    what: str


@dataclass
class Checked:
    """What was found, and how often each invariant was checked."""

    violations: list[Violation] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)

    def expect(self, invariant: int, holds: bool, what: Callable[[], str] | str) -> None:
        """Count a check, and keep what it found."""
        self.counts[invariant] += 1
        if not holds:
            self.violations.append(Violation(invariant, what if isinstance(what, str) else what()))


@dataclass(frozen=True)
class _Workflow:
    """One workflow of a run, with all that is known about it."""

    ran: Ran
    ref: WorkflowRef
    head: Head
    entries: dict[str, Entry]
    events: list[JournalEvent]

    def keys(self, step_id: str) -> list[str]:
        """Every key under which the step may have had an effect."""
        entry = self.entries.get(step_id)
        epochs = range((entry.epoch if entry else 0) + 1)
        return [effect_key(self.ref.workflow_id, step_id, "run", epoch) for epoch in epochs]

    def visible(self, step: Step) -> int | None:
        """How many effects of the step are there now; None where nobody can tell."""
        keys, tools = self.keys(step.id), self.ran.tools
        rows = sum(key in row for key in keys for row in self.ran.rows)
        if step.tool not in tools.own or tools.own[step.tool].contract.transactional:
            return rows + sum(self.ran.world.ledger.visible(key) for key in keys)
        counts = [tools.visible(step.tool, key) for key in keys]
        return None if None in counts else sum(count for count in counts if count is not None)


def check(ran: Ran) -> Checked:
    """Check everything that applies to this run."""
    checked = Checked()
    checked.expect(12, ran.stuck is None, f"it did not end: {ran.stuck}")
    _check_strangers(ran, checked)
    checked.expect(5, not ran.knocks_changed, "a request that came after the end changed something")
    workflows = list(_workflows(ran))
    for workflow in workflows:
        _check_parked(workflow, checked)
        _check_effects_once(workflow, checked)
        _check_ending(workflow, checked)
        _check_undo_order(workflow, checked)
        _check_late(workflow, checked)
        _check_empty_undo(workflow, checked)
        _check_journal(workflow, checked)
        _check_deadline(workflow, checked)
    for problem in ran.watch.problems:
        checked.violations.append(Violation(6, problem))
    checked.counts[6] += ran.watch.transactions
    for problem in stream_problems(ran):
        checked.violations.append(Violation(6, problem))
    checked.counts[6] += 1
    _check_tenants(ran, workflows, checked)
    return checked


def _workflows(ran: Ran) -> Iterator[_Workflow]:
    for ref in ran.refs:
        head = ran.watch.head(ref)
        if head is not None:
            yield _Workflow(ran, ref, head, ran.store.entries(ref), list(ran.store.events(ref)))


# ── 0: as a matter of course ────────────────────────────────────────────────────────────────────────────────────


def _check_strangers(ran: Ran, checked: Checked) -> None:
    for name, error in ran.errors:
        known = isinstance(error, ApexError | TaskFailed)
        checked.expect(0, known, f"{name} failed with {type(error).__name__}: {error}")


def _check_parked(workflow: _Workflow, checked: Checked) -> None:
    """A person is asked only where the contract leaves no other way, or the undo was tried as often as it says."""
    for step_id, entry in workflow.entries.items():
        if entry.state is not EffectState.PARKED:
            continue
        contract = workflow.ran.contract(entry.tool)
        no_way = contract.effect is Effect.IRREVERSIBLE or (
            contract.undo_of_absent is UndoOfAbsent.FAILS and not contract.transactional
        )
        tried = entry.undo_attempt >= min(contract.undo_attempts, _tries_of_a_dying_undo())
        checked.expect(0, no_way or tried, f"{step_id} ({entry.tool}) was parked without need: {entry.error}")


@cache
def _tries_of_a_dying_undo() -> int:
    """How often the machine calls an undo whose function dies each time: an undo that fails is tried as often as the
    contract says, but a dead function says nothing, and the machine has a limit of its own."""
    items = definition("rollback")["States"]["UndoSteps"]["ItemProcessor"]["States"]
    retriers = [retrier for retrier in items["UndoStep"]["Retry"] if "Runtime.ExitError" in retrier["ErrorEquals"]]
    return 1 + int(retriers[0]["MaxAttempts"])


# ── 1: at most one visible effect per key ───────────────────────────────────────────────────────────────────────


def _check_effects_once(workflow: _Workflow, checked: Checked) -> None:
    ledger = workflow.ran.world.ledger
    for step in workflow.ran.plan.steps:
        for key in workflow.keys(step.id):
            times = len(ledger.applied[key])
            checked.expect(1, times <= 1, lambda: f"{step.id} ({step.tool}) was applied {times} times")  # noqa: B023

    calls = [call for call in ledger.run_calls if call.workflow_id == workflow.ref.workflow_id]
    for at, later in enumerate(calls):
        for earlier in calls[:at]:
            if earlier.step_id == later.step_id:
                checked.expect(1, _one_after_the_other(earlier, later), f"two attempts of {later.step_id} at once")


def _one_after_the_other(earlier: WorldCall, later: WorldCall) -> bool:
    """True also where the first was given up by then: its function has passed its deadline."""
    over = earlier.ended is not None and earlier.ended <= later.began
    return over or earlier.deadline <= later.began


# ── 2: how it ends ──────────────────────────────────────────────────────────────────────────────────────────────


def _check_ending(workflow: _Workflow, checked: Checked) -> None:
    mode = workflow.head.mode
    checked.expect(2, mode.is_final, f"the workflow is {mode.value}")
    if not mode.is_final:
        return
    for step in workflow.ran.plan.steps:
        entry = workflow.entries.get(step.id)
        state = entry.state if entry else EffectState.NONE
        visible = workflow.visible(step)
        found = f"{step.id} ({step.tool}) is {state.value} in a {mode.value} workflow, and {visible} of it is visible"
        if entry is not None:
            checked.expect(2, state in _ENDED, found)
        if visible is not None:
            effect = workflow.ran.contract(step.tool).effect
            checked.expect(2, visible in _allowed(mode, state, effect), found)
    if mode is Mode.PARKED:
        stuck = {step_id for step_id, entry in workflow.entries.items() if entry.state is EffectState.PARKED}
        checked.expect(2, bool(stuck), "the workflow is PARKED, but no step is")


def _allowed(mode: Mode, state: EffectState, effect: Effect) -> frozenset[int]:
    """How many effects of a step may be there in the end."""
    if mode is Mode.COMPLETED:
        return frozenset({0 if effect is Effect.NONE else 1})
    if state is EffectState.PARKED:
        return frozenset({0, 1})
    return frozenset({0})


# ── 3: undo order ───────────────────────────────────────────────────────────────────────────────────────────────


def _check_undo_order(workflow: _Workflow, checked: Checked) -> None:
    """In each rollback the steps that had started come in reverse start order, and what the providers saw agrees."""
    calls = [call for call in workflow.ran.world.ledger.undo_calls if call.workflow_id == workflow.ref.workflow_id]
    for walk in _walks(workflow.events):
        dealt_with = [step_id for step_id in dict.fromkeys(walk.order) if step_id in walk.started]
        wanted = sorted(dealt_with, key=lambda step_id: -walk.started[step_id])
        checked.expect(3, dealt_with == wanted, f"undone in the order {dealt_with}, not {wanted}")
        asked = list(dict.fromkeys(call.step_id for call in calls if call.generation == walk.generation))
        wanted = sorted(asked, key=lambda step_id: -walk.started.get(step_id, 0))
        checked.expect(3, asked == wanted, f"providers were asked to undo {asked}, not {wanted}")
    for earlier, later in pairwise(calls):
        what = f"{later.step_id} was undone while {earlier.step_id} was"
        checked.expect(3, _one_after_the_other(earlier, later), what)


@dataclass
class _Walk:
    """One rollback as the journal tells it: when the steps had started by then, and in which order it came to them."""

    generation: int
    started: dict[str, int]
    order: list[str] = field(default_factory=list)


def _walks(events: list[JournalEvent]) -> list[_Walk]:
    walks: list[_Walk] = []
    started: dict[str, int] = {}
    for event in events:
        match event:
            case ToolCallRequested():
                started.setdefault(event.step_id, event.seq)
            case StepRetried():
                started.pop(event.step_id, None)
            case RollbackStarted():
                walks.append(_Walk(event.generation, dict(started)))
            case CompensationStarted() | StepFenced() | StepParked() if walks:
                walks[-1].order.append(event.step_id)
    return walks


# ── 4: late effects ─────────────────────────────────────────────────────────────────────────────────────────────


def _check_late(workflow: _Workflow, checked: Checked) -> None:
    """What was applied after the first compensation or fence of its step is gone again, or a person has been told."""
    settled: dict[str, datetime] = {}
    for event in workflow.events:
        if isinstance(event, CompensationCompleted | StepFenced):
            settled.setdefault(event.step_id, event.timestamp)
    for step_id, moment in settled.items():
        for key in workflow.keys(step_id):
            late = [at for at in workflow.ran.world.ledger.applied[key] if at > moment]
            entry = workflow.entries[step_id]
            gone = workflow.ran.world.ledger.visible(key) == 0 or entry.state in {
                EffectState.PARKED,
                EffectState.CONFIRMED,
            }
            checked.expect(4, not late or gone, lambda: f"{step_id} took effect after it was settled")  # noqa: B023


# ── 5: empty undo ───────────────────────────────────────────────────────────────────────────────────────────────


def _check_empty_undo(workflow: _Workflow, checked: Checked) -> None:
    """Undoing nothing changes nothing and leaves a fence; an undo that must not meet nothing never does."""
    keys = {key for step in workflow.ran.plan.steps for key in workflow.keys(step.id)}
    wrongly = [key for key in workflow.ran.world.ledger.absent_undone if key in keys]
    checked.expect(5, not wrongly, f"{len(wrongly)} undos met nothing where the contract forbids it")
    if workflow.head.mode not in {Mode.FAILED, Mode.PARKED} or workflow.head.plan_id is None:
        return
    for step in workflow.ran.plan.steps:
        entry = workflow.entries.get(step.id)
        never_started = entry is None or entry.started_seq == 0
        fenced = entry is not None and entry.state in {EffectState.FENCED, EffectState.REJECTED}
        checked.expect(5, not never_started or fenced, f"{step.id} never started, and has no fence")


# ── 6: the journal ──────────────────────────────────────────────────────────────────────────────────────────────


def _check_journal(workflow: _Workflow, checked: Checked) -> None:
    """Every beginning of the journal folds, and the whole of it says what head and ledger say."""
    state = WorkflowState()
    for event in workflow.events:
        try:
            state = fold([event], state)
        except (ApexError, ValueError) as error:
            checked.expect(6, False, f"the journal does not fold at {event.seq}: {error}")
            return
        checked.counts[6] += 1
    head = workflow.head
    said = (state.seq, state.status, state.generation)
    checked.expect(6, said == (head.seq, head.mode, head.generation), f"the journal says {said}, the head {head!r}")
    for step in state.steps:
        entry = workflow.entries.get(step.step_id)
        in_ledger = (
            (entry.state, entry.attempt, entry.undo_attempt, entry.started_seq)
            if entry
            else (EffectState.NONE, 0, 0, 0)
        )
        in_journal = (step.state, step.attempts, step.undo_attempts, step.started_seq)
        checked.expect(6, in_ledger == in_journal, f"{step.step_id}: ledger {in_ledger}, journal {in_journal}")


# ── 8: tenants ──────────────────────────────────────────────────────────────────────────────────────────────────


def _check_tenants(ran: Ran, workflows: list[_Workflow], checked: Checked) -> None:
    """What belongs to one tenant names no other: keys at the providers, events, rows."""
    if len(ran.refs) < 2:
        return
    owner = {ref.workflow_id: ref.tenant for ref in ran.refs}
    for tenant, workflow_id, step_id in ran.world.ledger.owners.values():
        checked.expect(8, owner[workflow_id] == tenant, f"{step_id} of {owner[workflow_id]} was called as {tenant}")
    for workflow in workflows:
        tenants = {event.tenant_id for event in workflow.events} | {workflow.head.tenant}
        checked.expect(8, tenants == {workflow.ref.tenant}, f"the journal of {workflow.ref.tenant} names {tenants}")
        listed = {head.tenant for head in ran.store.workflows(workflow.ref.tenant)}
        checked.expect(8, listed == {workflow.ref.tenant}, f"the list of {workflow.ref.tenant} names {listed}")
    keys = [item["sk"]["S"] for item in ran.tables.rows("records")]
    checked.expect(8, len(keys) == len(set(keys)), "two tenants' rows share a key")


# ── 12: everything ends ─────────────────────────────────────────────────────────────────────────────────────────


def _check_deadline(workflow: _Workflow, checked: Checked) -> None:
    ended = workflow.ran.watch.ended(workflow.ref)
    in_time = ended is not None and ended <= workflow.head.deadline
    checked.expect(12, in_time, f"ended {ended}, to end by {workflow.head.deadline}")
