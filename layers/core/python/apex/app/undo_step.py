"""Takes one step back: waits until nothing can land any more, asks the provider where it must, undoes, or parks."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from apex import faults
from apex.app.facts import stamp
from apex.app.house import House
from apex.app.requests import StepRequest, describe
from apex.errors import HeadChanged, StepBusy, StepChanged, StepPaused, UndoFailed
from apex.faults import FaultPoint
from apex.observability import annotate
from apex.ports.store import Change, EntryWrite, RecordWrite
from apex.schema.contract import COMMIT_RESERVE, LEASE_MARGIN
from apex.schema.events import (
    CompensationCompleted,
    CompensationFailed,
    CompensationStarted,
    EventBase,
    StepFenced,
    StepParked,
    ToolOutcomeUnknown,
)
from apex.schema.ids import effect_key
from apex.schema.ledger import Entry, Head, Mode
from apex.tools.sdk import Call, Tool
from apex.workflow import entries
from apex.workflow.decisions import UndoDecision, decide_undo, decide_undo_after_probe

_ROLLING = frozenset({Mode.ROLLING_BACK})


def undo_step(house: House, tool: Tool[Any, Any], request: StepRequest) -> dict[str, Any]:
    """Undo the step's effect if there is or may be one; answers ``{step_id, outcome}``, also when it was undone before.

    ``outcome`` is ``compensated``, ``fenced``, ``parked`` or ``unchanged``. Raises ``StepBusy`` while something may
    still land or report, ``UndoFailed`` where the undo may be tried again, ``StepPaused`` where the workflow is not
    rolling back in this generation.
    """
    return _StepUndo(house, tool, request).run()


class _StepUndo:
    def __init__(self, house: House, tool: Tool[Any, Any], request: StepRequest) -> None:
        self.store = house.store
        self.clock = house.clock
        self.tool = tool
        self.contract = tool.contract
        self.request = request
        self.trace_id = ""

    def run(self) -> dict[str, Any]:
        view = self.store.view(self.request.ref, self.request.step_id)
        head, entry = view.head, view.entry
        self.trace_id = head.correlation_id
        annotate(attempt=entry.undo_attempt + 1 if entry else 1, trace_id=head.correlation_id)
        if head.mode is not Mode.ROLLING_BACK or head.generation != self.request.generation:
            raise StepPaused(f"the workflow is {head.mode.value} in generation {head.generation}")
        decision = decide_undo(entry, self.contract, self.clock.now())
        if decision.action == "lose" and entry is not None:
            head, entry = self._commit_loss(head, entry, decision.reason)
            decision = decide_undo(entry, self.contract, self.clock.now())
        if decision.action == "probe" and entry is not None:
            decision = self._probe(entry)
        return self._carry_out(head, entry, decision)

    def _carry_out(self, head: Head, entry: Entry | None, decision: UndoDecision) -> dict[str, Any]:
        if decision.action == "wait":
            raise StepBusy(decision.reason, step_id=self.request.step_id)
        if decision.action == "fence":
            event = StepFenced(**self._stamp(head), **self._step_fields())
            self._commit(head, event, EntryWrite(entry, entries.fence(entry, self.request.step_id, self.tool.name)))
            return self._answer("fenced")
        if entry is None or decision.action == "nothing":
            return self._answer("unchanged")
        if decision.action == "park":
            return self._park(head, entry, decision.reason)
        return self._undo(head, entry)

    def _probe(self, entry: Entry) -> UndoDecision:
        typed = self.tool.parse_input(entry.input)
        probe_function = self.tool.probe_function
        if probe_function is None:
            return UndoDecision("park", "the tool declares a probe but has none")
        try:
            answer = probe_function(typed, self._call(entry, "run")).answer
        except Exception as error:
            raise UndoFailed(f"the probe failed: {describe(error)}", step_id=entry.step_id) from error
        return decide_undo_after_probe(entry, self.contract, self.clock.now(), answer)

    def _undo(self, head: Head, entry: Entry) -> dict[str, Any]:
        undo = self.tool.undo_function
        if undo is None:
            return self._park(head, entry, "the tool has no undo")
        faults.reach(FaultPoint.BEFORE_UNDO, entry.step_id, self.tool.name, entry.undo_attempt + 1)
        head, entry = self._commit_start(head, entry)
        call = self._call(entry, "undo")
        try:
            undo(self.tool.parse_input(entry.input), self.tool.parse_result(entry.result), call)
            faults.reach(FaultPoint.AFTER_UNDO, entry.step_id, self.tool.name, entry.undo_attempt)
        except Exception as error:
            raise self._commit_failure(head, entry, error) from error
        event = CompensationCompleted(**self._stamp(head), **self._step_fields())
        self._commit(
            head, event, EntryWrite(entry, entries.compensate(entry)), outcome=True, records=tuple(call.records)
        )
        faults.reach(FaultPoint.AFTER_COMPENSATION, entry.step_id, self.tool.name, entry.undo_attempt)
        return self._answer("compensated")

    # ── what is written ─────────────────────────────────────────────────────────────────────────────────────

    def _commit_loss(self, head: Head, entry: Entry, reason: str) -> tuple[Head, Entry]:
        event = ToolOutcomeUnknown(**self._stamp(head), **self._step_fields(), attempt=entry.attempt, error=reason)
        after = entries.lose(entry, reason)
        return self._commit(head, event, EntryWrite(entry, after)), after

    def _commit_start(self, head: Head, entry: Entry) -> tuple[Head, Entry]:
        after = entries.begin_undo(
            entry, attempt_id=str(uuid4()), lease_until=self.request.function_deadline + LEASE_MARGIN
        )
        event = CompensationStarted(
            **self._stamp(head),
            **self._step_fields(),
            compensation_activity=self.contract.compensation,
            attempt=after.undo_attempt,
            attempt_id=after.attempt_id,
            idempotency_key=self._key(entry, "undo"),
            lease_until=after.lease_until,
        )
        return self._commit(head, event, EntryWrite(entry, after)), after

    def _commit_failure(self, head: Head, entry: Entry, error: Exception) -> UndoFailed:
        text = describe(error)
        event = CompensationFailed(**self._stamp(head), **self._step_fields(), attempt=entry.undo_attempt, error=text)
        self._commit(head, event, EntryWrite(entry, entries.undo_failed(entry, text)), outcome=True)
        return UndoFailed(text, step_id=entry.step_id)

    def _park(self, head: Head, entry: Entry, reason: str) -> dict[str, Any]:
        event = StepParked(**self._stamp(head), **self._step_fields(), reason=reason)
        self._commit(head, event, EntryWrite(entry, entries.park(entry, reason)))
        return self._answer("parked")

    def _commit(
        self,
        head: Head,
        event: EventBase,
        write: EntryWrite,
        *,
        outcome: bool = False,
        records: tuple[RecordWrite, ...] = (),
    ) -> Head:
        """Everything but the outcome of an undo needs a head that is rolling back in this generation."""
        change = Change(
            self.request.ref,
            (event,),
            modes=None if outcome else _ROLLING,
            generation=None if outcome else self.request.generation,
            entries=(write,),
            records=records,
        )
        try:
            return self.store.commit(change, head, give_up_at=self.request.function_deadline - COMMIT_RESERVE / 10)
        except HeadChanged as error:
            raise StepPaused(error.message) from error
        except StepChanged as error:
            # An attempt reported, or another undo was quicker: read again, and decide anew.
            raise StepBusy(error.message, step_id=self.request.step_id) from error

    # ── common ──────────────────────────────────────────────────────────────────────────────────────────────

    def _key(self, entry: Entry, direction: str) -> str:
        workflow_id = self.request.ref.workflow_id
        if direction == "undo":
            return effect_key(workflow_id, entry.step_id, "undo", entry.epoch, entry.undo_round)
        return effect_key(workflow_id, entry.step_id, "run", entry.epoch)

    def _call(self, entry: Entry, direction: str) -> Call:
        deadline = min(
            self.request.function_deadline - COMMIT_RESERVE,
            self.clock.now() + max(self.contract.timeout, timedelta(seconds=1)),
        )
        return Call(
            tenant=self.request.ref.tenant,
            workflow_id=self.request.ref.workflow_id,
            step_id=entry.step_id,
            key=self._key(entry, direction),
            run_key=self._key(entry, "run"),
            attempt=entry.undo_attempt if direction == "undo" else entry.attempt,
            deadline=deadline,
            trace_id=self.trace_id,
            now=self.clock.now,
            read_record=self.store.read_record,
        )

    def _stamp(self, head: Head) -> dict[str, Any]:
        return stamp(head, self.clock.now())

    def _step_fields(self) -> dict[str, Any]:
        return {"tool_name": self.tool.name, "step_id": self.request.step_id}

    def _answer(self, outcome: str) -> dict[str, Any]:
        return {"step_id": self.request.step_id, "outcome": outcome}
