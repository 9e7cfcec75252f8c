"""Runs one step: read, decide, write the intent, call the tool, write the outcome.

The order is the whole point. The intent is in the ledger before the tool is called, so whoever comes later knows that
an effect may exist; the outcome is written under the attempt's own id, so a late attempt cannot overwrite a newer one.
"""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from apex import faults
from apex.app.facts import stamp
from apex.app.house import House
from apex.app.late import report_late
from apex.app.requests import StepRequest, describe
from apex.errors import (
    Conflict,
    HeadChanged,
    InvalidInput,
    PolicyDenied,
    StepBusy,
    StepChanged,
    StepError,
    StepFenced,
    StepPaused,
    StepRejected,
    StepRetryable,
    StepUnknown,
    StepUnresolved,
    ToolRejected,
    ToolRetryable,
)
from apex.faults import FaultPoint
from apex.observability import annotate
from apex.policy.lanes import check as check_policy
from apex.ports.store import Change, EntryWrite, RecordWrite, StepView
from apex.schema.contract import COMMIT_RESERVE, LEASE_MARGIN
from apex.schema.events import EventBase, ToolAttemptReleased, ToolCallRequested, ToolOutcomeUnknown, ToolResultReceived
from apex.schema.ids import effect_key
from apex.schema.ledger import EffectState, Entry, Head, Mode
from apex.schema.plan import Step
from apex.schema.wire import freeze
from apex.tools.sdk import Call, Probe, Tool
from apex.workflow import entries
from apex.workflow.decisions import Attempt, decide_run
from apex.workflow.references import resolve

_RUNNING = frozenset({Mode.RUNNING})


def run_step(house: House, tool: Tool[Any, Any], request: StepRequest) -> dict[str, Any]:
    """Run the step at most once; answers ``{step_id, outcome}``, also when it was done before.

    Raises a ``StepError`` that says who should do what: ``StepBusy`` and ``StepRetryable`` ask to be called again,
    ``StepUnknown`` too (the next call resolves it); ``StepRejected``, ``StepUnresolved``, ``StepFenced`` and
    ``StepPaused`` do not.
    ``PolicyDenied`` and
    ``InvalidInput`` are refusals: nothing was called.
    """
    return _StepRun(house, tool, request).run()


@dataclass(frozen=True, slots=True)
class _Taken:
    """The step as this attempt holds it."""

    head: Head
    entry: Entry
    call: Call


@dataclass(frozen=True, slots=True)
class _Result:
    """The effect exists, and this is what the tool answered."""

    data: Any
    resolved_by: Literal["reply", "probe"]


class _StepRun:
    def __init__(self, house: House, tool: Tool[Any, Any], request: StepRequest) -> None:
        self.house = house
        self.store = house.store
        self.clock = house.clock
        self.tool = tool
        self.contract = tool.contract
        self.request = request
        self.attempt_id = str(uuid4())

    def run(self) -> dict[str, Any]:
        view = self.store.view(self.request.ref, self.request.step_id)
        decision = decide_run(view.entry, self.contract, self.clock.now())
        if isinstance(decision, Entry):
            return self._confirmed()
        self._check_head(view.head)
        if isinstance(decision, StepError):
            if isinstance(decision, StepUnresolved):
                self._lose_abandoned(view)
            raise decision
        return self._attempt(view, decision)

    def _attempt(self, view: StepView, decision: Attempt) -> dict[str, Any]:
        tool_input, typed = self._prepare(view)
        self._reach(FaultPoint.BEFORE_INTENT, view.entry.attempt + 1 if view.entry else 1)
        taken = self._commit_intent(view, tool_input)
        try:
            self._reach(FaultPoint.AFTER_INTENT, taken.entry.attempt)
            answer = self._ask_or_call(decision, typed, taken)
        except Exception as error:
            raise self._commit_failure(taken, error) from error
        # What is written from here on is known: trouble with writing it must not make it unknown.
        if isinstance(answer, Probe):
            raise self._commit_probe(taken, answer)
        self._commit_result(taken, answer)
        self._reach(FaultPoint.AFTER_OUTCOME, taken.entry.attempt)
        return self._confirmed()

    def _ask_or_call(self, decision: Attempt, typed: Any, taken: _Taken) -> "_Result | Probe[Any]":
        """The step's result, found by the probe or by a call; a probe's answer where it leaves no result and no
        call."""
        if decision.probe and self.tool.probe_function is not None:
            probe = self.tool.probe_function(typed, taken.call)
            if probe.answer == "APPLIED" and probe.result is not None:
                return _Result(freeze(self.tool.result_data(probe.result)), "probe")
            if probe.answer != "NOT_SEEN" or not decision.call:
                return probe
        result = freeze(self.tool.result_data(self.tool.run(typed, taken.call)))
        self._reach(FaultPoint.AFTER_EFFECT, taken.entry.attempt)
        return _Result(result, "reply")

    # ── before the intent ───────────────────────────────────────────────────────────────────────────────────

    def _check_head(self, head: Head) -> None:
        if head.mode is not Mode.RUNNING or head.generation != self.request.generation:
            raise StepPaused(
                f"the workflow is {head.mode.value} in generation {head.generation}, "
                f"this execution is of {self.request.generation}"
            )

    def _prepare(self, view: StepView) -> tuple[dict[str, Any], Any]:
        """The resolved input, as data and typed. A refusal is recorded: the step surely had no effect and will have
        none."""
        if view.spec is None or view.spec.tool != self.tool.name:
            # A misdirected call says nothing about the step, so nothing is recorded.
            raise InvalidInput(f"step {self.request.step_id} of this workflow does not call {self.tool.name}")
        try:
            tool_input = resolve(view.spec.input, self._results_of_dependencies(view.spec))
            typed = self.tool.parse_input(tool_input)
            check_policy(self.tool.name, tool_input, contract=self.contract)
        except (InvalidInput, PolicyDenied) as error:
            self._commit_refusal(view, error)
            raise
        return tool_input, typed

    def _results_of_dependencies(self, step: Step) -> dict[str, Any]:
        if not step.depends_on:
            return {}
        found = self.store.entries(self.request.ref, step.depends_on)
        open_ones = [name for name in step.depends_on if name not in found or not found[name].is_done]
        if open_ones:
            raise InvalidInput(f"step {step.id} depends on {', '.join(open_ones)}, which are not done")
        return {name: entry.result for name, entry in found.items() if not entry.skipped}

    def _commit_refusal(self, view: StepView, error: InvalidInput | PolicyDenied) -> None:
        if view.entry is not None and view.entry.state is not EffectState.NONE:
            return
        text = describe(error)
        event = ToolResultReceived(
            **self._stamp(view.head), **self._step_fields(), success=False, error=text, retry_count=0
        )
        refused = entries.refuse(view.entry, self.request.step_id, self.tool.name, text)
        self._commit(view.head, (event,), EntryWrite(view.entry, refused), running=True)

    def _commit_intent(self, view: StepView, tool_input: dict[str, Any]) -> _Taken:
        request, now = self.request, self.clock.now()
        before = view.entry
        starts = before is None or before.started_seq == 0
        entry = entries.intend(
            before,
            request.step_id,
            self.contract,
            attempt_id=self.attempt_id,
            now=now,
            lease_until=request.function_deadline + LEASE_MARGIN,
            tool_input=tool_input,
        )
        key = effect_key(request.ref.workflow_id, request.step_id, "run", entry.epoch)
        event = ToolCallRequested(
            **self._stamp(view.head),
            **self._step_fields(),
            tool_input=tool_input,
            compensation_activity=self.contract.compensation,
            attempt=entry.attempt,
            attempt_id=entry.attempt_id,
            idempotency_key=key,
            lease_until=entry.lease_until,
        )
        head = self._commit(view.head, (event,), EntryWrite(before, entry, starts=starts), running=True)
        annotate(attempt=entry.attempt, trace_id=head.correlation_id)
        if starts:
            entry = entry.model_copy(update={"started_seq": head.seq})
        deadline = min(request.function_deadline - COMMIT_RESERVE, now + self.contract.timeout)
        call = Call(
            tenant=request.ref.tenant,
            workflow_id=request.ref.workflow_id,
            step_id=request.step_id,
            key=key,
            run_key=key,
            attempt=entry.attempt,
            deadline=deadline,
            trace_id=head.correlation_id,
            now=self.clock.now,
            read_record=self.store.read_record,
        )
        return _Taken(head, entry, call)

    # ── outcomes ────────────────────────────────────────────────────────────────────────────────────────────

    def _commit_result(self, taken: _Taken, result: _Result) -> None:
        event = ToolResultReceived(
            **self._stamp(taken.head),
            **self._step_fields(),
            success=True,
            result=result.data,
            retry_count=taken.entry.attempt - 1,
            resolved_by=result.resolved_by,
        )
        write = EntryWrite(taken.entry, entries.confirm(taken.entry, result.data))
        try:
            self._commit(taken.head, (event,), write, records=tuple(taken.call.records), result=result.data)
        except Conflict as error:
            raise self._commit_failure(taken, ToolRejected(error.message)) from error

    def _commit_probe(self, taken: _Taken, probe: Probe[Any]) -> StepError:
        """The provider has told what became of the earlier attempts; what it cannot tell leads to rollback."""
        if probe.answer == "NEVER":
            text = "the provider never applied it, and will not"
            rejected = entries.reject(taken.entry, text, settles_all=True)
            self._commit(taken.head, (self._failed(taken, text),), EntryWrite(taken.entry, rejected))
            return StepRejected(text, step_id=self.request.step_id)
        text = (
            "it was applied, but its result is lost"
            if probe.answer == "APPLIED"
            else "the provider has not seen it, and does not remember the key long enough to call again"
        )
        self._commit_loss(taken.head, taken.entry, text)
        return StepUnresolved(text, step_id=self.request.step_id)

    def _commit_failure(self, taken: _Taken, error: Exception) -> StepError:
        """Record what a failed attempt means for the effect; answers what to tell the state machine."""
        text = describe(error)
        entry, step_id = taken.entry, self.request.step_id
        if isinstance(error, ToolRejected):
            after = entries.reject(entry, text)
        elif isinstance(error, ToolRetryable) or entries.never_in_doubt(self.contract):
            after = entries.release(entry, text)
        else:
            after = entries.lose(entry, text)
        common = {**self._stamp(taken.head), **self._step_fields()}
        event: EventBase = ToolOutcomeUnknown(**common, attempt=entry.attempt, error=text)
        answer: StepError = StepUnknown(text, step_id=step_id)
        if after.state is EffectState.REJECTED:
            event, answer = self._failed(taken, text), StepRejected(text, step_id=step_id)
        elif after.state is EffectState.INTENDED:
            event = ToolAttemptReleased(**common, attempt=entry.attempt, error=text)
            answer = StepRetryable(text, step_id=step_id)
        self._commit(taken.head, (event,), EntryWrite(entry, after))
        return answer

    def _lose_abandoned(self, view: StepView) -> None:
        """An attempt never reported and nothing can be asked about it: say so in the ledger before rolling back."""
        if view.entry is None or view.entry.state is not EffectState.INTENDED:
            return
        self._commit_loss(view.head, view.entry, "the attempt never reported")

    def _commit_loss(self, head: Head, entry: Entry, text: str) -> None:
        event = ToolOutcomeUnknown(**self._stamp(head), **self._step_fields(), attempt=entry.attempt, error=text)
        self._commit(head, (event,), EntryWrite(entry, entries.lose(entry, text)))

    def _failed(self, taken: _Taken, text: str) -> ToolResultReceived:
        return ToolResultReceived(
            **self._stamp(taken.head),
            **self._step_fields(),
            success=False,
            error=text,
            retry_count=taken.entry.attempt - 1,
        )

    # ── common ──────────────────────────────────────────────────────────────────────────────────────────────

    def _commit(
        self,
        head: Head,
        events: tuple[EventBase, ...],
        write: EntryWrite,
        *,
        running: bool = False,
        records: tuple[RecordWrite, ...] = (),
        result: Any = None,
    ) -> Head:
        """An intent needs a running head of this generation; an outcome only the attempt's own id.

        ``result`` is given with the outcome of an effect that happened: if the step was changed meanwhile, the effect
        is late.
        """
        change = Change(
            self.request.ref,
            events,
            modes=_RUNNING if running else None,
            generation=self.request.generation if running else None,
            entries=(write,),
            records=records,
        )
        try:
            return self.store.commit(change, head, give_up_at=self.request.function_deadline - COMMIT_RESERVE / 10)
        except HeadChanged as error:
            raise StepPaused(error.message) from error
        except StepChanged as error:
            if write.before is None or write.before.attempt_id != self.attempt_id:
                # Somebody was quicker to take, refuse or settle the step: read again, and decide anew.
                raise StepBusy(error.message, step_id=self.request.step_id) from error
            if result is not None:
                report_late(self.house, self.request, self.contract, write.after, result)
            raise StepFenced(f"attempt of step {self.request.step_id} came too late: {error.message}") from error

    def _stamp(self, head: Head) -> dict[str, Any]:
        return stamp(head, self.clock.now())

    def _step_fields(self) -> dict[str, Any]:
        return {"tool_name": self.tool.name, "step_id": self.request.step_id}

    def _confirmed(self) -> dict[str, Any]:
        return {"step_id": self.request.step_id, "outcome": "confirmed"}

    def _reach(self, point: FaultPoint, attempt: int) -> None:
        faults.reach(point, self.request.step_id, self.tool.name, attempt)
