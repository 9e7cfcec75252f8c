"""Steps run, fail, die, are repeated and rolled back in any order: the promises hold after every single move.

What a provider may do here: refuse, be down, lose the request or the reply, or carry a request out as late as its
contract allows. What an attempt may do: end well, fail, or be killed at any point. One thing is left out on purpose: an
attempt that outlives its lease and reports after its step was undone. That is a late effect, which reopens the workflow
and has tests of its own.
"""

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apex import faults
from apex.adapters.memory import ManualClock
from apex.errors import StepError
from apex.faults import FaultPoint, Reached
from apex.schema.ids import effect_key
from apex.schema.ledger import EffectState, Mode
from apex.schema.plan import Step
from apex.tools import UndoOfAbsent
from tests.unit.app.book import A_DAY, Book, Killed, Trouble, row_tool, shop_tool
from tests.unit.app.world import AnyTool, World, agrees

MINUTES = timedelta(minutes=5)
NEVER_AGAIN = timedelta(0)
SHOPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # name: (what the provider is like, what the tool declares)
    "probed": ({}, {"probe": True}),
    "probed_without_result": ({"tells_result": False}, {"probe": True}),
    "probed_without_tombstone": ({"fences": False}, {"probe": True}),
    "probed_and_forgetful": ({"window": MINUTES}, {"probe": True}),
    "probed_and_never_called_twice": ({"window": NEVER_AGAIN}, {"probe": True}),
    "blind": ({}, {}),
    "blind_without_tombstone": ({"fences": False}, {}),
    "blind_and_forgetful": ({"window": MINUTES}, {}),
    "blind_and_never_called_twice": ({"window": NEVER_AGAIN}, {}),
    "blind_with_a_strict_undo": ({}, {"undo_of_absent": UndoOfAbsent.FAILS}),
}
TROUBLES = st.sampled_from(Trouble)
# Most attempts get to their end, or nothing would ever be done: what a test never reaches it cannot break.
PROBE_TROUBLES = st.sampled_from([*[Trouble.NONE] * 8, *Trouble])
POINTS = st.sampled_from([*[None] * 20, *FaultPoint])


class Walk(RuleBasedStateMachine):
    """One workflow of one to three independent steps, each with a provider of its own."""

    @initialize(kinds=st.lists(st.sampled_from([*SHOPS, "write_row"]), min_size=1, max_size=3))
    def begin(self, kinds: list[str]) -> None:
        self.moves = 0
        self.clock = ManualClock()
        self.books: dict[str, Book] = {}
        tools: dict[str, AnyTool] = {}
        steps = []
        for number, kind in enumerate(kinds, start=1):
            step_id = f"s{number}"
            name = kind if kind == "write_row" else f"{kind}_{number}"
            if kind == "write_row":
                tools[name] = row_tool()
            else:
                provider, declared = SHOPS[kind]
                self.books[step_id] = Book(self.clock, **{"window": A_DAY, **provider})
                tools[name] = shop_tool(self.books[step_id], name=name, undo_attempts=2, **declared)
            steps.append(Step(id=step_id, tool=name))
        self.step_ids = [step.id for step in steps]
        self.world = World(*tools.values(), steps=steps, clock=self.clock)

    # ── moves ───────────────────────────────────────────────────────────────────────────────────────────────

    @rule(data=st.data(), apply=TROUBLES, find=PROBE_TROUBLES, killed_at=POINTS)
    def run_a_step(self, data: st.DataObject, apply: Trouble, find: Trouble, killed_at: FaultPoint | None) -> None:
        step_id = data.draw(st.sampled_from(self.step_ids))
        before = self.standing(step_id)
        running = self.world.head.mode is Mode.RUNNING
        self.move(step_id, killed_at, {"apply": apply, "find": find}, lambda: self.world.run(step_id, generation=1))
        assert running or self.standing(step_id) == before, "a step had an effect although nothing may start any more"

    @precondition(lambda self: self.world.head.mode is Mode.ROLLING_BACK)
    @rule(data=st.data(), undo=TROUBLES, find=PROBE_TROUBLES, killed_at=POINTS)
    def undo_a_step(self, data: st.DataObject, undo: Trouble, find: Trouble, killed_at: FaultPoint | None) -> None:
        step_id = data.draw(st.sampled_from(self.step_ids))
        before = self.standing(step_id)
        self.move(step_id, killed_at, {"undo": undo, "find": find}, lambda: self.world.undo(step_id))
        assert self.standing(step_id) <= before

    @rule(seconds=st.sampled_from([1, 10, 20, 50, 280, 3600, 25 * 3600]))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @precondition(lambda self: self.world.head.mode is Mode.RUNNING and self.moves > 3)
    @rule(door=st.sampled_from(["catch", "janitor", "operator"]))
    def begin_rollback(self, door: Any) -> None:
        self.world.roll_back(door)

    @precondition(lambda self: self.world.head.mode is Mode.RUNNING and self.moves > 6)
    @rule()
    def close(self) -> None:
        done = all(self.world.state(step_id) is EffectState.CONFIRMED for step_id in self.step_ids)
        try:
            status = self.world.close()
        except StepError:
            assert not done
        else:
            assert (done, status) == (True, "COMPLETED")

    @precondition(lambda self: self.world.head.mode is Mode.ROLLING_BACK and self.moves > 12)
    @rule()
    def finish_rollback(self) -> None:
        self.world.finish_rollback()

    def move(self, step_id: str, killed_at: FaultPoint | None, troubles: dict[str, Trouble], act: Any) -> None:
        """Make one attempt under these troubles; what it is told is for the state machine to act on."""
        self.moves += 1
        book = self.books.get(step_id)
        if book is not None:
            for operation, trouble in troubles.items():
                book.next(operation, trouble)

        def die(reached: Reached) -> None:
            if reached.point is killed_at:
                raise Killed

        try:
            with faults.injected(die):
                act()
        except (StepError, Killed):
            pass
        if book is not None:
            book.forget_troubles()

    # ── promises ────────────────────────────────────────────────────────────────────────────────────────────

    def standing(self, step_id: str) -> int:
        """How many effects of the step exist outside, by the provider's own books."""
        book = self.books.get(step_id)
        if book is not None:
            return len(book.standing())
        key = effect_key(self.world.ref.workflow_id, step_id, "run", 0)
        return int(self.world.store.read_record("records", "acme", key) is not None)

    @invariant()
    def no_step_has_more_than_one_effect(self) -> None:
        for step_id in self.step_ids:
            assert self.standing(step_id) <= 1, step_id

    @invariant()
    def every_attempt_uses_the_same_key(self) -> None:
        for book in self.books.values():
            for operation in ("apply", "undo"):
                assert len(set(book.requests(operation))) <= 1

    @invariant()
    def journal_and_ledger_agree(self) -> None:
        agrees(self.world)

    @invariant()
    def what_is_known_is_true(self) -> None:
        for step_id in self.step_ids:
            state = self.world.state(step_id)
            if state is EffectState.CONFIRMED:
                assert self.standing(step_id) == 1, f"{step_id} is confirmed without an effect"
            if state in {EffectState.NONE, EffectState.REJECTED, EffectState.FENCED, EffectState.COMPENSATED}:
                assert self.standing(step_id) == 0, f"{step_id} is {state} with an effect"

    @invariant()
    def a_workflow_that_ended_is_what_it_says(self) -> None:
        mode = self.world.head.mode
        states = {self.world.state(step_id) for step_id in self.step_ids}
        if mode is Mode.COMPLETED:
            assert states == {EffectState.CONFIRMED}
        if mode in {Mode.FAILED, Mode.PARKED}:
            assert states <= {EffectState.COMPENSATED, EffectState.FENCED, EffectState.PARKED}
            assert (EffectState.PARKED in states) is (mode is Mode.PARKED)

    def teardown(self) -> None:
        """However far it came, a rollback ends it; the books are read again when nothing is under way any more."""
        if not hasattr(self, "world"):
            return
        if self.world.head.mode is Mode.RUNNING:
            self.world.roll_back()
        if self.world.head.mode is Mode.ROLLING_BACK:
            self.world.finish_rollback()
        self.clock.advance(timedelta(days=30))
        for check in (self.no_step_has_more_than_one_effect, self.what_is_known_is_true):
            check()
        self.a_workflow_that_ended_is_what_it_says()
        self.journal_and_ledger_agree()


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=200, stateful_step_count=30)
