"""A fork borrows what the old workflow confirmed, runs the rest anew, and never undoes what it borrowed."""

import threading
from datetime import timedelta

import pytest

from apex import faults
from apex.app.catalogue import registry
from apex.app.fork import fork
from apex.app.operate import Operator
from apex.errors import Conflict, InvalidInput, KeyReused, PlanInvalid, StoreError
from apex.faults import FaultPoint, Reached
from apex.schema.ids import WorkflowRef, workflow_id_for
from apex.schema.ledger import EffectState, Head, Mode
from apex.schema.plan import Plan
from tests.integration.sagas.conftest import Run, System, note, step
from tests.integration.sagas.trouble import Clockwork

TIME_SCALE = 0.05
ANA = Operator(by="ana", why="try it otherwise")


def forked(system: System, run: Run, at: str, *, plan: dict[str, object] | None = None, key: str = "") -> Run:
    edited = None if plan is None else Plan.model_validate(plan)
    key = key or f"fork of {run.ref.workflow_id} at {at}"
    head = fork(system.session.house, registry(), run.ref, at, ANA, plan=edited, key=key)
    return system.wait(head.ref)


def chain(last: dict[str, object]) -> dict[str, object]:
    return {"steps": [note("s1"), note("s2", "s1", text="{{s1.record_id}}"), last]}


def test_a_fork_of_a_completed_trip_borrows_what_came_before_and_books_the_rest(system: System) -> None:
    old = system.trip()

    run = forked(system, old, "s5")

    assert run.head.mode is Mode.COMPLETED
    assert run.ref != old.ref
    assert {step_id: run.states[step_id] for step_id in ("s1", "s2", "s3", "s4")} == dict.fromkeys(
        ("s1", "s2", "s3", "s4"), EffectState.BORROWED
    )
    assert set(run.calls) == {"s5", "s6"}
    assert run.effects("payments") == ["apply"]
    assert old.effects("flights") == ["apply"]
    assert [booked["kind"] for booked in system.books("flights")] == ["apply"], "nothing was booked twice"
    assert {event.from_workflow_id for event in run.of_type("StepBorrowed")} == {old.ref.workflow_id}
    (acted,) = run.of_type("OperatorActed")
    assert (acted.verb, acted.step_id, acted.by, acted.why) == ("fork", "s5", "ana", "try it otherwise")


def test_a_fork_that_fails_undoes_its_own_effects_and_leaves_the_borrowed_ones(system: System) -> None:
    old = system.trip()
    system.fault("payments", operation="charge", mode="decline", times=None)

    run = forked(system, old, "s4")

    assert run.head.mode is Mode.FAILED
    assert run.states["s3"] is EffectState.BORROWED
    assert run.effects("hotels") == ["apply", "undo"], "the fork's own hotel"
    assert old.effects("hotels") == ["apply"]
    assert [booked["kind"] for booked in system.books("flights")] == ["apply"]


def test_a_fork_may_have_an_edited_plan_and_uses_borrowed_results(system: System) -> None:
    failing = step("s3", "search_database", "s2", collection="customers", key="nobody")
    old = system.run("two notes and a mistake", plan=chain(failing))
    assert old.head.mode is Mode.FAILED
    good = system.run("two notes and an answer", plan=chain(step("s3", "respond_to_user", "s1", message="done")))

    edited = chain(step("s3", "respond_to_user", "s1", message="record {{s1.record_id}}"))
    run = forked(system, good, "s3", plan=edited)

    record = next(event.result["record_id"] for event in good.of_type("ToolResultReceived") if event.step_id == "s1")
    assert run.of_type("WorkflowCompleted")[0].final_result is not None
    assert run.states == {"s1": EffectState.BORROWED, "s2": EffectState.BORROWED, "s3": EffectState.CONFIRMED}
    answer = next(event.result for event in run.of_type("ToolResultReceived") if event.step_id == "s3")
    assert answer == {"message": f"record {record}"}


def test_what_was_undone_is_run_anew_in_a_fork(system: System) -> None:
    failing = step("s3", "search_database", "s2", collection="customers", key="nobody")
    old = system.run("two notes and a mistake", plan=chain(failing))

    run = forked(system, old, "s3", plan=chain(step("s3", "respond_to_user", "s2", message="done")))

    assert run.head.mode is Mode.COMPLETED
    assert run.states == dict.fromkeys(("s1", "s2", "s3"), EffectState.CONFIRMED)


def test_a_step_that_an_edited_plan_changes_is_not_borrowed(system: System) -> None:
    old = system.run("two notes and an answer", plan=chain(step("s3", "respond_to_user", "s2", message="done")))
    other = [note("s1", text="another text"), note("s2", "s1"), step("s3", "respond_to_user", "s2", message="done")]

    run = forked(system, old, "s3", plan={"steps": other})

    assert run.states == dict.fromkeys(("s1", "s2", "s3"), EffectState.CONFIRMED)


def test_a_step_is_not_borrowed_when_one_that_it_depends_on_is_changed(system: System) -> None:
    steps = [note("s1"), note("s2", "s1"), note("s3", "s2")]
    old = system.run("three notes", plan={"steps": steps})

    run = forked(system, old, "s3", plan={"steps": [note("s1", text="another text"), *steps[1:]]})

    assert run.states == dict.fromkeys(("s1", "s2", "s3"), EffectState.CONFIRMED)


def test_the_same_key_is_the_same_fork(system: System) -> None:
    old = system.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]})
    first = forked(system, old, "s2", key="one-fork")

    again = forked(system, old, "s2", key="one-fork")

    assert again.head == first.head
    with pytest.raises(KeyReused):
        forked(system, old, "s1", key="one-fork")


def test_a_fork_whose_maker_died_is_finished_by_the_next_try(system: System) -> None:
    old = system.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]})
    store = system.session.house.store

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apex.app.fork._borrow", died)
        with pytest.raises(StoreError):
            forked(system, old, "s2", key="a-fork-in-two-parts")
    ref = WorkflowRef("acme", workflow_id_for("acme", "a-fork-in-two-parts"))
    assert store.head(ref).forking

    run = forked(system, old, "s2", key="a-fork-in-two-parts")

    assert run.head.mode is Mode.COMPLETED
    assert run.states == {"s1": EffectState.BORROWED, "s2": EffectState.CONFIRMED}


def test_a_fork_that_nobody_finishes_ends_without_having_run_anything(system: System, clockwork: Clockwork) -> None:
    old = system.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apex.app.fork._borrow", died)
        with pytest.raises(StoreError):
            forked(system, old, "s2", key="an-unfinished-fork")

    clockwork.advance(timedelta(seconds=61))
    run = system.wait(WorkflowRef("acme", workflow_id_for("acme", "an-unfinished-fork")))

    assert run.head.mode is Mode.FAILED
    assert run.calls == {}


def died(*_: object) -> Head:
    raise StoreError("the process died here")


def test_what_cannot_be_forked_leaves_nothing_behind(system: System) -> None:
    old = system.run("two notes", plan={"steps": [note("s1"), note("s2", "s1")]})
    store = system.session.house.store
    before = len(store.workflows("acme", limit=1000))

    with pytest.raises(InvalidInput, match="s1, s2"):
        forked(system, old, "s9")
    with pytest.raises(PlanInvalid):
        forked(system, old, "s2", plan={"steps": [note("s1", "s1")]})

    assert len(store.workflows("acme", limit=1000)) == before


def test_a_workflow_at_work_is_not_forked(system: System) -> None:
    working, go_on = threading.Event(), threading.Event()

    def hold(reached: Reached) -> None:
        if reached.point is FaultPoint.AFTER_INTENT:
            working.set()
            go_on.wait(10)

    with faults.injected(hold):
        ref = system.submit("one note", plan={"steps": [note("s1")]})
        assert working.wait(10)
        with pytest.raises(Conflict, match="RUNNING"):
            fork(system.session.house, registry(), ref, "s1", ANA, key="too-early")
        go_on.set()
        assert system.wait(ref).head.mode is Mode.COMPLETED
