"""The simulator's stand-ins do what they stand in for, and refuse what they do not know."""

from datetime import timedelta
from typing import Any

import pytest

from infra.chaos.asl import Execution, TaskFailed, definition
from infra.chaos.faults import Fault
from infra.chaos.report import descriptions, faults_and_invariants
from infra.chaos.scheduler import Scheduler
from infra.chaos.tables import MemoryTables

GIVEN = {"tenant": "t", "workflow_id": "w", "generation": 1}
WAVES = [{"size": 1, "steps": [{"step_id": "s1", "tool": "book", "timeout": 25}]}]


class Answers:
    """Functions that answer from a list, and what they were asked."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any], timedelta]] = []

    def invoke(self, function: str, payload: dict[str, Any], timeout: timedelta) -> Any:
        self.asked.append((function, payload, timeout))
        answer = self.answers[function.replace("tool:", "")].pop(0)
        if isinstance(answer, str):
            raise TaskFailed(answer, "as the test has it")
        return answer

    def entered(self, execution: Execution, state: str) -> None:
        """Nothing to do."""


def executed(machine: str, **answers: list[Any]) -> tuple[Execution, Answers, Scheduler]:
    scheduler, functions = Scheduler("1"), Answers(**answers)
    execution = Execution("e", definition(machine), GIVEN, scheduler, functions)
    execution.start(lambda _: None)
    scheduler.run(lambda: False)
    return execution, functions, scheduler


FOUND = {"found": True, "waves": WAVES, "wave_count": 1, "more": False}


def test_the_machine_takes_its_course_with_the_payloads_of_its_file() -> None:
    execution, functions, _ = executed(
        "agent_workflow",
        find_plan=[FOUND],
        book=[{"step_id": "s1", "outcome": "confirmed"}],
        close_workflow=[{"status": "COMPLETED"}],
    )
    assert execution.status == "SUCCEEDED"
    assert execution.entered == ["FindPlan", "PlanFound", "NextWave", "RunStep", "NextWave", "CloseWorkflow"]
    assert functions.asked[1] == ("tool:book", {**GIVEN, "action": "run", "step_id": "s1"}, timedelta(seconds=25))


def test_retries_are_as_many_and_as_long_as_the_file_says() -> None:
    retrier = definition("agent_workflow")["States"]["RunStep"]["Retry"][0]
    assert retrier["ErrorEquals"] == ["StepBusy"]
    tries = int(retrier["MaxAttempts"])
    _, functions, scheduler = executed(
        "agent_workflow",
        find_plan=[FOUND],
        book=["StepBusy"] * (tries + 1),
        start_rollback=[{"generation": 2}],
    )
    assert len([name for name, _, _ in functions.asked if name == "tool:book"]) == tries + 1
    waits = [
        min(retrier["MaxDelaySeconds"], retrier["IntervalSeconds"] * retrier["BackoffRate"] ** done)
        for done in range(tries)
    ]
    assert scheduler.elapsed().total_seconds() == pytest.approx(sum(waits))


def test_a_caught_failure_leads_to_the_rollback() -> None:
    execution, functions, _ = executed(
        "agent_workflow", find_plan=[FOUND], book=["StepRejected"], start_rollback=[{"generation": 2}]
    )
    assert (execution.status, execution.error) == ("FAILED", "HandedToRollback")
    failure = functions.asked[-1][1]["failure"]
    assert (failure["step_id"], failure["error"]) == ("s1", "StepRejected")


def test_an_undo_that_cannot_be_carried_out_is_parked_and_the_next_one_follows() -> None:
    steps = [{"step_id": name, "tool": "book", "timeout": 25} for name in ("s2", "s1")]
    execution, functions, _ = executed(
        "rollback",
        list_steps=[{"steps": steps}],
        book=["InvalidInput", {"outcome": "compensated"}],
        park_step=[{"outcome": "parked"}],
        close_workflow=[{"status": "PARKED"}],
    )
    assert execution.status == "SUCCEEDED"
    assert [name for name, _, _ in functions.asked] == [
        "list_steps", "tool:book", "park_step", "tool:book", "close_workflow",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    ["seq > :seq", "attribute_exists(pk)", "size(body) = :n", "contains(body, :n)", "seq = :seq OR pk = :pk"],
)
def test_the_tables_refuse_conditions_that_they_do_not_know(condition: str) -> None:
    write = {
        "TableName": "state",
        "Item": {"pk": {"S": "p"}, "sk": {"S": "s"}},
        "ConditionExpression": condition,
        "ExpressionAttributeValues": {":seq": {"N": "1"}, ":n": {"N": "1"}, ":pk": {"S": "p"}},
    }
    with pytest.raises(NotImplementedError):
        MemoryTables().transact_write_items(TransactItems=[{"Put": write}])


def test_every_fault_is_described_in_the_documentation() -> None:
    assert set(descriptions()) == {fault.name for fault in Fault}
    table = faults_and_invariants()
    assert all(f"| {fault.value} |" in table for fault in Fault)
