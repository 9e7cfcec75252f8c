"""People in the simulation: they act whenever they like, and say the truth about what they find outside."""

from apex.app import operate
from apex.app.house import House
from apex.app.operate import Operator
from apex.errors import ApexError, StoreError
from apex.schema.ids import WorkflowRef, effect_key
from apex.schema.ledger import EffectState, Entry, Mode
from infra.chaos.faults import Fault, Plot
from infra.chaos.scheduler import Scheduler
from infra.chaos.watch import Watch
from infra.chaos.world import World

_LOOKS_EVERY = 5.0
_LOOKS = 200
_TRIES = 10
_SOMEBODY = Operator("operator", "as the program has it")


class Operators:
    """What operators do. An answer of the application that they may not is no violation."""

    def __init__(self, house: House, scheduler: Scheduler, plot: Plot, world: World, watch: Watch) -> None:
        self._house = house
        self._scheduler = scheduler
        self._plot = plot
        self._world = world
        self._watch = watch

    def compensates(self, ref: WorkflowRef, delay: float) -> None:
        """An operator has a workflow undone, whatever it does just now."""
        self._scheduler.sleep(delay)
        if self._watch.head(ref) is None:
            return
        try:
            operate.compensate(self._house, ref, _SOMEBODY)
        except ApexError as error:
            self._scheduler.note(f"operator was told {type(error).__name__}")

    def resumes(self, ref: WorkflowRef) -> None:
        """An operator waits until a workflow has failed or is parked, and has it go on."""
        for _ in range(_LOOKS):
            self._scheduler.sleep(_LOOKS_EVERY)
            head = self._watch.head(ref)
            if head is None or head.mode is Mode.COMPLETED:
                return
            if head.mode in {Mode.FAILED, Mode.PARKED} and head.plan_id is not None:
                break
        else:
            return
        if not self._plot.strikes(Fault.OPERATOR_RESUMES):
            return
        for _ in range(_TRIES):
            try:
                self._set_right(ref)
                operate.resume(self._house, ref, _SOMEBODY)
            except StoreError:
                self._scheduler.sleep(_LOOKS_EVERY)
            except ApexError as error:
                self._scheduler.note(f"operator was told {type(error).__name__}")
                return
            else:
                return

    def _set_right(self, ref: WorkflowRef) -> None:
        for step_id, entry in self._house.store.entries(ref).items():
            state = entry.state
            if state is EffectState.PARKED:
                if self._is_there(ref, entry):
                    operate.mark_applied(self._house, ref, step_id, _SOMEBODY, {"ref": "as seen", "note": ""})
                    continue
                operate.mark_not_applied(self._house, ref, step_id, _SOMEBODY)
                state = EffectState.REJECTED
            if state in {EffectState.REJECTED, EffectState.FENCED, EffectState.COMPENSATED}:
                operate.retry_step(self._house, ref, step_id, _SOMEBODY)

    def _is_there(self, ref: WorkflowRef, entry: Entry) -> bool:
        return self._world.ledger.visible(effect_key(ref.workflow_id, entry.step_id, "run", entry.epoch)) > 0
