"""From a goal to a journaled plan: checked before anything runs, adopted once, and told as names only."""

import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from apex.adapters.memory import ManualClock, MemoryStore, RecordingExecutions
from apex.app.house import House
from apex.app.plans import find_plan, make_plan
from apex.app.submit import Goal, submit
from apex.errors import GoalNotPlanned, PlanInvalid, StepPaused
from apex.ports import PlanProposal, PlanRequest
from apex.schema.ids import WorkflowRef
from apex.schema.plan import Plan, PlannedBy, Step
from apex.tools.registry import Registry
from tests.unit.app.book import Book, look_tool, shop_tool

CLOCK = ManualClock()
REGISTRY = Registry(MappingProxyType({"order_item": shop_tool(Book(CLOCK)), "look_up": look_tool()}))
DIAMOND = Plan(
    steps=(
        Step(id="s1", tool="look_up"),
        Step(id="s2", tool="order_item", input={"item": "a very secret lamp"}, depends_on=("s1",)),
        Step(id="s3", tool="order_item", depends_on=("s1",)),
        Step(id="s4", tool="look_up", depends_on=("s2", "s3")),
    )
)
Answer = Callable[[PlanRequest], PlanProposal | None]


class Index:
    """A ``PlanIndex`` and ``Planner`` that answers what it is told, and remembers the requests."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan = plan
        self.asked: list[PlanRequest] = []

    def find(self, request: PlanRequest) -> PlanProposal | None:
        self.asked.append(request)
        if self.plan is None:
            return None
        return PlanProposal(self.plan, PlannedBy(planner="library", cache_hit=True, template_id="t-1"))

    def make(self, request: PlanRequest) -> PlanProposal:
        self.asked.append(request)
        if self.plan is None:
            raise GoalNotPlanned("nobody knows how")
        return PlanProposal(self.plan, PlannedBy(planner="model"))


@pytest.fixture
def house() -> House:
    return House(MemoryStore(), RecordingExecutions(), CLOCK)


def accepted(house: House, plan: Plan | None = None) -> WorkflowRef:
    return submit(house, Goal("acme", "ana", "order a lamp", "key-1", context={"colour": "green"}, plan=plan)).head.ref


def names(answer: dict[str, Any]) -> list[list[str]]:
    return [[call["step_id"] for call in wave["steps"]] for wave in answer["waves"]]


def test_a_plan_that_came_with_the_goal_is_adopted_and_nobody_is_asked(house: House) -> None:
    ref, index = accepted(house, DIAMOND), Index(DIAMOND)

    answer = find_plan(house, REGISTRY, index, ref, 1)

    assert names(answer) == [["s1"], ["s2", "s3"], ["s4"]]
    assert (answer["found"], answer["wave_count"], answer["more"]) == (True, 3, False)
    assert index.asked == []
    generated = house.store.event(ref, 2)
    assert (generated.type, generated.planner, generated.cache_hit) == ("PlanGenerated", "submitted", False)  # type: ignore[union-attr]
    assert house.store.steps(ref) == list(DIAMOND.steps)
    assert (house.store.head(ref).plan_id, house.store.head(ref).step_count) == (generated.plan_id, 4)  # type: ignore[union-attr]


def test_the_state_machine_is_told_names_and_timeouts_and_no_inputs(house: House) -> None:
    answer = find_plan(house, REGISTRY, Index(), accepted(house, DIAMOND), 1)

    assert "secret" not in json.dumps(answer)
    assert answer["waves"][0] == {"size": 1, "steps": [{"step_id": "s1", "tool": "look_up", "timeout": 25}]}


def test_a_known_plan_is_adopted_with_its_template(house: House) -> None:
    ref, index = accepted(house), Index(DIAMOND)

    assert find_plan(house, REGISTRY, index, ref, 1)["found"]

    (request,) = index.asked
    assert (request.tenant, request.goal, request.context) == ("acme", "order a lamp", {"colour": "green"})
    generated = house.store.event(ref, 2)
    assert (generated.cache_hit, generated.template_id) == (True, "t-1")  # type: ignore[union-attr]


def test_an_unknown_goal_is_a_miss_that_changes_nothing(house: House) -> None:
    ref = accepted(house)

    answer = find_plan(house, REGISTRY, Index(), ref, 1)

    assert answer == {"found": False, "waves": [], "wave_count": 0, "more": False}
    assert house.store.head(ref).seq == 1


def test_a_planner_makes_the_plan_of_a_goal_nobody_knew(house: House) -> None:
    ref = accepted(house)

    answer = make_plan(house, REGISTRY, Index(DIAMOND), ref, 1)

    assert names(answer) == [["s1"], ["s2", "s3"], ["s4"]]
    assert house.store.event(ref, 2).planner == "model"  # type: ignore[union-attr]


def test_a_plan_is_adopted_once_and_asked_for_again_it_is_repeated(house: House) -> None:
    ref, index = accepted(house), Index(DIAMOND)
    first = find_plan(house, REGISTRY, index, ref, 1)

    assert find_plan(house, REGISTRY, index, ref, 1) == first
    assert make_plan(house, REGISTRY, index, ref, 1) == first
    assert len(index.asked) == 1
    assert house.store.head(ref).seq == 2


@pytest.mark.parametrize("which", [find_plan, make_plan])
def test_a_plan_that_breaks_the_contracts_leaves_nothing(house: House, which: Any) -> None:
    ref = accepted(house)
    broken = Plan(steps=(Step(id="s1", tool="launch_rocket"), Step(id="s1", tool="look_up", depends_on=("s9",))))

    with pytest.raises(PlanInvalid) as caught:
        which(house, REGISTRY, Index(broken), ref, 1)

    assert len(caught.value.problems) >= 3
    assert (house.store.head(ref).seq, house.store.steps(ref)) == (1, [])


def test_a_goal_that_cannot_be_planned_says_so(house: House) -> None:
    ref = accepted(house)

    with pytest.raises(GoalNotPlanned, match="APX-"):
        make_plan(house, REGISTRY, Index(), ref, 1)

    assert house.store.head(ref).seq == 1


@pytest.mark.parametrize("which", [find_plan, make_plan])
def test_an_execution_of_another_generation_plans_nothing(house: House, which: Any) -> None:
    ref = accepted(house)

    with pytest.raises(StepPaused):
        which(house, REGISTRY, Index(DIAMOND), ref, 2)

    assert house.store.head(ref).seq == 1


def test_two_planners_at_once_agree_on_the_plan_that_was_journaled_first(house: House) -> None:
    """A planner's answer is not always the same, and two plans must never be mixed."""
    ref = accepted(house)
    other = Plan(steps=(Step(id="x1", tool="look_up"), Step(id="x2", tool="look_up", depends_on=("x1",))))
    quicker = Index(DIAMOND)

    class Overtaken(Index):
        def make(self, request: PlanRequest) -> PlanProposal:
            make_plan(house, REGISTRY, quicker, ref, 1)
            return super().make(request)

    answer = make_plan(house, REGISTRY, Overtaken(other), ref, 1)

    assert names(answer) == [["s1"], ["s2", "s3"], ["s4"]]
    assert [event.type for event in house.store.events(ref)] == ["GoalReceived", "PlanGenerated"]
    assert [step.id for step in house.store.steps(ref)] == ["s1", "s2", "s3", "s4"]
