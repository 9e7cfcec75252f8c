"""How plans run on the real state machines: order, concurrency, refusals, budgets of transitions."""

import threading

import pytest

from apex import faults
from apex.app.submit import Goal
from apex.errors import KeyReused
from apex.faults import FaultPoint, Reached
from apex.schema.ledger import EffectState, Mode
from tests.integration.sagas.conftest import System, note, step


def chain(length: int) -> dict[str, object]:
    return {"steps": [note(f"s{n}", *([f"s{n - 1}"] if n > 1 else [])) for n in range(1, length + 1)]}


def test_a_chain_of_five_steps_enters_fourteen_states(system: System) -> None:
    run = system.run("five notes", plan=chain(5))

    assert run.head.mode is Mode.COMPLETED
    entered = [event for event in system.session.history(run.ref) if event["type"].endswith("StateEntered")]
    assert len(entered) == 14


def test_a_wave_of_several_steps_costs_at_most_three_states_and_one_per_step(system: System) -> None:
    run = system.run("four notes at once", plan={"steps": [note(f"s{n}") for n in range(4)]})

    assert run.head.mode is Mode.COMPLETED
    assert system.session.transitions(run.ref) <= 4 + 3 + 4


def test_a_plan_of_a_hundred_steps_completes_each_once(system: System) -> None:
    run = system.run("a hundred notes", plan=chain(100))

    assert run.head.mode is Mode.COMPLETED
    assert len(run.of_type("ToolCallRequested")) == 100
    assert [event.seq for event in run.events] == list(range(1, run.head.seq + 1))


def test_independent_steps_of_a_diamond_run_at_the_same_time(system: System) -> None:
    together = threading.Barrier(2, timeout=10)
    met: list[str] = []

    def meet(reached: Reached) -> None:
        if reached.point is FaultPoint.AFTER_INTENT and reached.step_id in ("s2", "s3"):
            together.wait()
            met.append(reached.step_id)

    plan = {"steps": [note("s1"), note("s2", "s1"), note("s3", "s1"), note("s4", "s2", "s3")]}
    with faults.injected(meet):
        run = system.run("a diamond", plan=plan)

    assert run.head.mode is Mode.COMPLETED
    assert sorted(met) == ["s2", "s3"]


def test_the_same_key_twice_is_one_workflow(system: System) -> None:
    first = system.run("one note", plan=chain(1), key="the-same-key")
    second = system.run("one note", plan=chain(1), key="the-same-key")

    assert first.ref == second.ref
    assert second.head.seq == first.head.seq
    assert len(second.of_type("ToolCallRequested")) == 1


def test_two_starts_at_once_with_the_same_key_are_one_workflow(system: System) -> None:
    runs: list[object] = []
    threads = [
        threading.Thread(target=lambda: runs.append(system.run("one note", plan=chain(2), key="raced-key")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({run.ref for run in runs}) == 1  # type: ignore[attr-defined]
    assert len(runs[0].of_type("ToolCallRequested")) == 2  # type: ignore[attr-defined]


def test_the_same_key_with_another_payload_is_a_conflict_and_changes_nothing(system: System) -> None:
    first = system.run("one note", plan=chain(1), key="a-reused-key")

    with pytest.raises(KeyReused, match="APX-1501"):
        system.session.submit(Goal("acme", "ana", "another note", "a-reused-key"))

    assert system.session.house.store.head(first.ref) == first.head


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([note("s1", "s2"), note("s2", "s1")], "circle"),
        ([note("s1"), note("s1")], "s1"),
        ([step("s1", "launch_rocket")], "launch_rocket"),
        ([note("s1"), note("s2", text="{{s1.record_id}}")], "depends_on"),
        ([note("s1"), note("s2", "s1", text="{{s1.no_such_field}}")], "no_such_field"),
        ([note("s1", "s0")], "s0"),
        ([step("s1", "create_record", collection="notes")], "data"),
        ([], "step"),
    ],
    ids=["cycle", "duplicate", "unknown-tool", "undeclared", "unknown-field", "unknown-step", "missing-input", "empty"],
)
def test_a_broken_plan_is_refused_before_anything_runs(system: System, steps: list[object], problem: str) -> None:
    run = system.run("a broken plan", plan={"steps": steps})

    assert run.head.mode is Mode.FAILED
    assert run.head.failure is not None
    assert run.head.failure.error == "PlanInvalid"
    assert problem in run.head.failure.message
    assert run.of_type("ToolCallRequested") == []


def test_a_step_of_ten_thousand_dollars_is_refused_before_anything_runs(system: System) -> None:
    plan = {
        "steps": [
            note("s1"),
            step("s2", "charge_payment", "s1", amount="10000.00", currency="USD", card="card-on-file"),
        ]
    }
    run = system.run("pay a lot", plan=plan)

    assert run.head.mode is Mode.FAILED
    assert run.of_type("ToolCallRequested") == []
    assert system.books("payments") == []


def test_an_amount_that_only_shows_at_run_time_is_refused_then_and_earlier_effects_are_undone(system: System) -> None:
    from apex.ports.store import RecordWrite

    invoice = {"amount": "20000.00"}
    system.session.house.store.put_record(RecordWrite("records", "acme", "invoices#7", invoice))
    plan = {
        "steps": [
            step("s1", "search_database", collection="invoices", key="7"),
            note("s2", "s1"),
            step("s3", "charge_payment", "s1", "s2", amount="{{s1.record.amount}}", card="card-on-file"),
        ]
    }
    run = system.run("pay the invoice", plan=plan)

    assert run.head.mode is Mode.FAILED
    assert run.head.failure is not None
    assert run.head.failure.error == "PolicyDenied"
    assert system.books("payments") == []
    assert run.states["s2"] is EffectState.COMPENSATED


def test_a_sibling_in_the_same_wave_finishes_before_the_rollback_and_is_undone(system: System) -> None:
    plan = {
        "steps": [
            note("s1"),
            step("s2", "search_database", collection="customers", key="nobody"),
            note("s3", "s1", "s2"),
        ]
    }
    run = system.run("one of two fails", plan=plan)

    assert run.head.mode is Mode.FAILED
    assert run.states["s1"] is EffectState.COMPENSATED
    assert run.states["s3"] is EffectState.FENCED
    created = next(event.result["record_id"] for event in run.of_type("ToolResultReceived") if event.step_id == "s1")
    assert system.session.house.store.read_record("records", "acme", f"notes#{created}") is None


def test_a_goal_that_nobody_can_plan_fails_cleanly_and_says_what_to_configure(system: System) -> None:
    run = system.run("Write me a symphony in the style of Mahler")

    assert run.head.mode is Mode.FAILED
    assert run.head.failure is not None
    assert run.head.failure.error == "GoalNotPlanned"
    assert "APEX_LLM_MODEL" in run.head.failure.message


def test_a_large_result_travels_by_reference_and_comes_back_whole(system: System) -> None:
    long_text = "word " * 20_000
    plan = {
        "steps": [
            step("s1", "respond_to_user", message=long_text),
            step("s2", "respond_to_user", "s1", message="{{s1.message}}"),
        ]
    }
    run = system.run("say a lot", plan=plan)

    assert run.head.mode is Mode.COMPLETED
    assert run.of_type("WorkflowCompleted")[0].final_result == {"message": long_text}
    bucket = system.session.cloud.outputs["PayloadBucket"]
    stored = system.session.cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"acme/{run.ref.workflow_id}/")
    assert stored["KeyCount"] > 0


def test_an_undo_that_fails_twice_is_tried_again_under_the_same_key(system: System) -> None:
    system.fault("flights", operation="cancel", mode="error_before", times=2)

    run = system.trip(amount="$9,000")

    assert system.faults_fired("flights") == 2
    assert run.head.mode is Mode.FAILED
    assert run.states["s3"] is EffectState.COMPENSATED
    started = [event for event in run.of_type("CompensationStarted") if event.step_id == "s3"]
    assert len(started) == 3
    assert len({event.idempotency_key for event in started}) == 1
