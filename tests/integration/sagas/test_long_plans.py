"""Plans longer than one execution's history may be: fresh executions take over, and nothing runs twice."""

import json
from collections import Counter
from typing import Any

import pytest

from apex.app import plans
from apex.schema.ledger import EffectState, Mode
from tests.integration.sagas.conftest import System, note, step
from tests.integration.sagas.trouble import Proceed


def rows(length: int, width: int) -> dict[str, Any]:
    """Rows of notes side by side; each row waits for the first note of the row before."""
    steps = []
    for at in range(length):
        row, column = divmod(at, width)
        before = [f"s{(row - 1) * width}"] if row else []
        steps.append(note(f"s{row * width + column}", *before))
    return {"steps": steps}


class Calls:
    """Counts the runs of each step at the tools' functions themselves."""

    def __init__(self) -> None:
        self.of_step: Counter[str] = Counter()

    def __call__(self, function: str, event: dict[str, Any], proceed: Proceed) -> Any:
        if event.get("action") == "run":
            self.of_step[event["step_id"]] += 1
        return proceed(event)


def test_a_plan_of_six_hundred_steps_makes_six_hundred_calls(system: System) -> None:
    calls = Calls()
    system.interference.add(calls)

    run = system.wait(system.submit("six hundred notes", plan=rows(600, 3)), seconds=240)

    assert run.head.mode is Mode.COMPLETED
    assert len(calls.of_step) == 600
    assert set(calls.of_step.values()) == {1}
    assert set(run.calls.values()) == {1}
    assert len(run.states) == 600
    assert set(run.states.values()) == {EffectState.CONFIRMED}
    assert [event.generation for event in run.of_type("GenerationStarted")] == [2, 3]
    assert [event.seq for event in run.events] == list(range(1, run.head.seq + 1))


def test_a_failure_in_a_later_execution_undoes_what_earlier_ones_did(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MAX_STEPS_PER_EXECUTION", 2)
    chain = [note(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(5)]
    chain.append(step("s5", "search_database", "s4", collection="customers", key="nobody"))

    run = system.run("five notes and a mistake", plan={"steps": chain})

    assert run.head.mode is Mode.FAILED
    assert run.head.generation == 4
    assert [event.step_id for event in run.of_type("CompensationCompleted")] == ["s4", "s3", "s2", "s1", "s0"]
    assert [event.reason for event in run.of_type("GenerationStarted")] == ["handover", "handover"]


def test_an_older_execution_can_not_go_on_once_a_newer_one_has_taken_over(system: System) -> None:
    run = system.run("one note", plan={"steps": [note("s1")]})
    old = {"action": "run", "tenant": "acme", "workflow_id": run.ref.workflow_id, "generation": 1, "step_id": "s2"}

    client = system.session.cloud.client("lambda")
    answer = client.invoke(FunctionName="apex-dev-tool-create_record", Payload=json.dumps(old))

    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == "StepPaused"
    assert system.session.house.store.head(run.ref) == run.head
