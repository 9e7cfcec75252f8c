"""Orders: every step runs once, after what it needs and as early as possible; what started last is undone first."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apex.schema.ledger import EffectState, Entry
from apex.schema.plan import Step
from apex.workflow.waves import find_cycle, rollback_order, waves


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    """The steps of an acyclic plan, in any order: a step depends only on steps drawn before it."""
    size = draw(st.integers(0, 12))
    steps = []
    for number in range(size):
        earlier = [f"s{n}" for n in range(number)]
        needed = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=4)) if earlier else []
        steps.append(Step(id=f"s{number}", tool="t", depends_on=tuple(needed)))
    return draw(st.permutations(steps))


def step(step_id: str, *needed: str) -> Step:
    return Step(id=step_id, tool="t", depends_on=needed)


def ids(found: list[list[Step]]) -> list[list[str]]:
    return [[step.id for step in wave] for wave in found]


# ── waves ───────────────────────────────────────────────────────────────────────────────────────────────────


@given(graphs())
def test_every_step_is_in_exactly_one_wave(steps: list[Step]) -> None:
    planned = [step.id for wave in waves(steps) for step in wave]

    assert sorted(planned) == sorted(step.id for step in steps)


@given(graphs())
def test_a_step_is_one_wave_behind_the_last_one_it_needs(steps: list[Step]) -> None:
    number = {step.id: at for at, wave in enumerate(waves(steps)) for step in wave}

    for step in steps:
        # One behind: neither before it may run, nor later than it could.
        assert number[step.id] == 1 + max((number[needed] for needed in step.depends_on), default=-1)


@given(graphs())
def test_no_wave_is_empty_and_each_keeps_the_order_of_the_plan(steps: list[Step]) -> None:
    position = {step.id: at for at, step in enumerate(steps)}

    for wave in waves(steps):
        assert wave
        assert [position[step.id] for step in wave] == sorted(position[step.id] for step in wave)


@given(graphs(), st.data())
def test_what_is_done_is_not_planned_again_and_holds_nobody_up(steps: list[Step], data: st.DataObject) -> None:
    done = set(data.draw(st.sets(st.sampled_from([step.id for step in steps])))) if steps else set()

    number = {step.id: at for at, wave in enumerate(waves(steps, done)) for step in wave}

    assert set(number) == {step.id for step in steps} - done
    for step in steps:
        if step.id in number:
            waited_for = [number[needed] for needed in step.depends_on if needed not in done]
            assert number[step.id] == 1 + max(waited_for, default=-1)


def test_a_diamond_is_three_waves() -> None:
    assert ids(waves([step("s4", "s2", "s3"), step("s3", "s1"), step("s1"), step("s2", "s1")])) == [
        ["s1"],
        ["s3", "s2"],
        ["s4"],
    ]


# ── circles ─────────────────────────────────────────────────────────────────────────────────────────────────


@given(graphs())
def test_an_acyclic_plan_has_no_circle(steps: list[Step]) -> None:
    assert find_cycle(steps) is None


@given(graphs(), st.data())
def test_a_circle_is_named_along_its_dependencies(steps: list[Step], data: st.DataObject) -> None:
    assume(len(steps) > 1)
    first = data.draw(st.sampled_from(steps))
    last = data.draw(st.sampled_from(steps))
    needs = {step.id: step.depends_on for step in steps}
    closing = [
        step.model_copy(update={"depends_on": (*step.depends_on, last.id)}) if step.id == first.id else step
        for step in steps
    ]
    assume(first.id in upstream(last.id, needs))

    circle = find_cycle(closing)

    assert circle is not None
    assert circle[0] == circle[-1]
    needs = {step.id: step.depends_on for step in closing}
    pairs = list(pairwise(circle))
    assert all(one in needs[other] for one, other in pairs) or all(other in needs[one] for one, other in pairs)


def upstream(step_id: str, needs: dict[str, tuple[str, ...]]) -> set[str]:
    """The step and everything it needs, directly or not."""
    found = {step_id}
    for needed in needs[step_id]:
        found |= upstream(needed, needs)
    return found


def test_a_step_that_needs_itself_is_a_circle() -> None:
    assert find_cycle([step("s1", "s1")]) == ["s1", "s1"]


def test_dependencies_on_unknown_steps_are_no_circle() -> None:
    assert find_cycle([step("s1", "s0")]) is None


# ── rollback order ──────────────────────────────────────────────────────────────────────────────────────────


def started(step_id: str, seq: int, state: EffectState = EffectState.CONFIRMED) -> Entry:
    return Entry(step_id=step_id, tool="t", state=state, started_seq=seq)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50), st.sampled_from([state for state in EffectState if state is not EffectState.NONE])
        ),
        max_size=10,
        unique_by=lambda item: item[0],
    ),
    st.integers(0, 4),
    st.randoms(use_true_random=False),
)
def test_rollback_walks_every_step_once_newest_start_first(
    found: list[tuple[int, EffectState]], without_entry: int, random: Random
) -> None:
    entries = {f"s{at}": started(f"s{at}", seq, state) for at, (seq, state) in enumerate(found)}
    step_ids = [*entries, *(f"n{at}" for at in range(without_entry))]
    random.shuffle(step_ids)

    order = rollback_order(step_ids, entries)

    assert sorted(order) == sorted(step_ids)
    seqs = [entries[step_id].started_seq if step_id in entries else 0 for step_id in order]
    never = seqs.count(0)
    # Those that never started come first, so that they are fenced before any undo takes its time.
    assert seqs == [0] * never + sorted(seqs[never:], reverse=True)


@pytest.mark.parametrize("state", [EffectState.INTENDED, EffectState.UNKNOWN, EffectState.REJECTED])
def test_failing_and_unknown_steps_are_walked_too(state: EffectState) -> None:
    entries = {"s1": started("s1", 3), "s2": started("s2", 5, state), "s3": started("s3", 9)}

    assert rollback_order(["s1", "s2", "s3"], entries) == ["s3", "s2", "s1"]


def test_order_is_by_start_and_not_by_plan_or_outcome() -> None:
    entries = {"s1": started("s1", 8), "s2": started("s2", 4)}

    assert rollback_order(["s1", "s2", "s3"], entries) == ["s3", "s1", "s2"]
