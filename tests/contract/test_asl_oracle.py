"""Both interpreters agree on small machines, and the comparison notices when they do not."""

import copy
import json
import time
from dataclasses import replace
from typing import Any

import pytest
import sfnx.testing as second

from infra.local.asl_history import Trace, read_history
from infra.local.asl_oracle import Differences, compare_all, compare_execution, compare_trace, lint
from infra.local.repairs.stepfunctions_clock import time_scale
from tests.contract.asl_compare import compare
from tests.integration.local_cloud.stepfunctions_rig import (
    call,
    installed,
    machine,
    running_rig,
    stepfunctions_repairs,
    wait_for_token,
)


class StepRejected(Exception):
    """A business outcome."""


class StepBusy(Exception):
    """Worth another try."""


def reject(event: Any) -> Any:
    raise StepRejected(event["step_id"])


def run_step(event: Any) -> Any:
    if event["step_id"] in event.get("rejected", []):
        reject(event)
    return {"step_id": event["step_id"], "outcome": "confirmed"}


def busy_twice() -> Any:
    left = [StepBusy("1"), StepBusy("2")]

    def handler(_: Any) -> str:
        if left:
            raise left.pop()
        return "done"

    return handler


CHAIN = machine(
    "Find",
    Find=call(
        "find",
        {"goal": "{% $states.input.goal %}"},
        Assign={"steps": "{% $states.result.Payload.steps %}", "cursor": 0, "done": []},
        Output="{% $states.result.Payload.found %}",
        Next="More",
    ),
    More={
        "Type": "Choice",
        "Choices": [{"Condition": "{% $cursor < $count($steps) %}", "Next": "Run"}],
        "Default": "End",
    },
    Run=call(
        "run_step",
        {"step_id": "{% $steps[$cursor] %}", "execution": "{% $states.context.Execution.Name %}"},
        Assign={"cursor": "{% $cursor + 1 %}", "done": "{% $append($done, [$states.result.Payload.step_id]) %}"},
        Output="{% $states.result.Payload.outcome %}",
        Next="More",
    ),
    End={"Type": "Pass", "Output": "{% {'done': $done, 'last': $states.input} %}", "End": True},
)

WAVE = machine(
    "Start",
    Start={"Type": "Pass", "Assign": {"rejected": "{% $states.input %}", "round": 0}, "Next": "Wave"},
    Wave={
        "Type": "Map",
        "Items": ["a", "b", "c"],
        "MaxConcurrency": 10,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "Step",
            "States": {
                "Step": call(
                    "run_step",
                    {"step_id": "{% $states.input %}", "rejected": "{% $rejected %}"},
                    Output="{% $states.result.Payload %}",
                    Catch=[
                        {
                            "ErrorEquals": ["StepRejected"],
                            "Output": {"step_id": "{% $states.input %}", "outcome": "{% $states.errorOutput.Error %}"},
                            "Next": "Rejected",
                        }
                    ],
                    End=True,
                ),
                "Rejected": {"Type": "Pass", "End": True},
            },
        },
        "Assign": {
            "round": "{% $round + 1 %}",
            "bad": "{% $count($filter($states.result, function($r) { $r.outcome != 'confirmed' })) %}",
        },
        "Next": "Again",
    },
    Again={"Type": "Choice", "Choices": [{"Condition": "{% $round < 2 %}", "Next": "Wave"}], "Default": "Close"},
    Close=call("echo", {"bad": "{% $bad %}", "results": "{% $states.input %}"}, End=True),
)

RETRY = machine(
    "Try",
    Try=call(
        "busy",
        {},
        Retry=[{"ErrorEquals": ["StepBusy"], "IntervalSeconds": 1, "MaxAttempts": 4, "JitterStrategy": "FULL"}],
        Output="{% [$states.result.Payload, $states.context.State.RetryCount] %}",
        End=True,
    ),
)

CATCH = machine(
    "Try",
    Try=call(
        "reject",
        {"step_id": "s1"},
        Catch=[
            {
                "ErrorEquals": ["States.ALL"],
                "Assign": {"why": "{% $parse($states.errorOutput.Cause).errorMessage %}"},
                "Output": "{% $states.errorOutput.Error %}",
                "Next": "Undo",
            }
        ],
        End=True,
    ),
    Undo=call("echo", {"error": "{% $states.input %}", "why": "{% $why %}"}, Next="Failed"),
    Failed={"Type": "Fail", "Error": "{% $states.input.Payload.error %}", "Cause": "{% $why %}"},
)

FAILED_MAP = machine(
    "Each",
    Each={
        "Type": "Map",
        "Items": ["slow", "bad"],
        "ItemProcessor": {
            "StartAt": "First",
            "States": {
                "First": call("first", "{% $states.input %}", Next="Second"),
                "Second": call("echo", {}, End=True),
            },
        },
        "Catch": [{"ErrorEquals": ["StepRejected"], "Output": "caught", "Next": "After"}],
        "End": True,
    },
    After=call("echo", "{% $states.input %}", End=True),
)


def first(event: Any) -> Any:
    if event == "bad":
        raise StepRejected(event)
    time.sleep(0.3)


def agree(differences: Differences, pairs: int) -> None:
    assert not differences, str(differences)
    assert len(differences.happens_before) == pairs


def test_a_chain_is_run_alike() -> None:
    handlers = {"find": lambda _: {"found": True, "steps": ["s1", "s2", "s3"]}, "run_step": run_step}
    agree(compare(CHAIN, {"goal": "go"}, handlers), pairs=6)


@pytest.mark.parametrize("rejected", [[], ["b"], ["a", "b", "c"]])
def test_waves_of_parallel_steps_are_run_alike(rejected: list[str]) -> None:
    # Two waves of three concurrent calls and one call after them: 3 x 3 pairs between the waves, 6 before the last.
    agree(compare(WAVE, rejected, {"run_step": run_step}), pairs=15)


def test_retries_until_success_are_run_alike() -> None:
    agree(compare(RETRY, {}, {"busy": busy_twice()}), pairs=3)


def test_a_caught_error_is_carried_on_alike() -> None:
    agree(compare(CATCH, {}, {"reject": reject}), pairs=1)


def test_a_map_cut_short_by_a_failing_item_is_run_alike() -> None:
    assert not compare(FAILED_MAP, {}, {"first": first})


def test_a_failing_expression_ends_both_alike() -> None:
    broken = machine("A", A=call("echo", {}, Next="B"), B={"Type": "Pass", "Output": "{% $nowhere %}", "End": True})
    assert not compare(broken, {}, {})


@pytest.fixture(scope="module")
def recorded() -> tuple[Any, Trace]:
    """The context and the trace of one run of the waves."""
    with running_rig() as rig, installed(stepfunctions_repairs()), time_scale(0):
        rig.handlers["run_step"] = run_step
        arn = rig.run(WAVE, ["b"]).arn
        context = {"Execution": {"Input": ["b"], "Name": "any", "StartTime": "2026-01-01T00:00:00.000Z"}}
        return context, read_history(rig.history(arn))


def changed(path: tuple[Any, ...], value: Any) -> Any:
    definition = copy.deepcopy(WAVE)
    place: Any = definition["States"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return definition


def test_the_history_tells_where_each_call_was_made(recorded: tuple[Any, Trace]) -> None:
    _, trace = recorded
    assert trace.visits[()] == ("Start", "Wave", "Again", "Wave", "Again", "Close")
    assert trace.visits[("Wave#1[1]",)] == ("Step", "Rejected")
    assert [call.error for call in trace.calls[("Wave#0[1]",)]] == ["StepRejected"]
    assert trace.calls[("Wave#0[2]",)][0].arguments["Payload"]["step_id"] == "c"


@pytest.mark.parametrize(
    ("definition", "where"),
    [
        (changed(("Again", "Choices", 0, "Condition"), "{% $round < 3 %}"), "states"),
        (changed(("Again", "Choices", 0, "Condition"), "{% $round < 1 %}"), "states"),
        (changed(("Close", "Arguments", "Payload", "bad"), "{% $bad + 1 %}"), "calls"),
        (changed(("Close", "Output"), "{% $states.result.Payload.bad %}"), "endings"),
        (changed(("Wave", "ItemProcessor", "States", "Step", "Catch", 0, "ErrorEquals"), ["StepBusy"]), "endings"),
        (changed(("Wave", "Items"), ["a", "c", "b"]), "calls"),
    ],
    ids=["a state more", "a state less", "another argument", "another output", "another ending", "another item"],
)
def test_a_machine_that_does_something_else_is_noticed(
    recorded: tuple[Any, Trace], definition: Any, where: str
) -> None:
    differences = compare_trace(definition, *recorded)
    assert getattr(differences, where), str(differences)


def test_a_call_that_begins_too_early_is_noticed(recorded: tuple[Any, Trace]) -> None:
    context, trace = recorded
    (step,) = trace.calls[("Wave#1[0]",)]
    hasty = {**trace.calls, ("Wave#1[0]",): (replace(step, started=1),)}
    differences = compare_trace(WAVE, context, replace(trace, calls=hasty))
    assert differences.order
    assert "began before" in str(differences)


def test_a_task_token_is_compared_by_its_answer() -> None:
    with running_rig() as rig, installed(stepfunctions_repairs()):
        arn = rig.start(machine("A", A=wait_for_token(TimeoutSeconds=60)))
        rig.client.send_task_success(taskToken=rig.token(arn), output='{"decision": "approved"}')
        assert rig.outcome(arn).output == {"decision": "approved"}
        assert not compare_execution(rig.client, arn)


def test_a_stopped_execution_has_no_counterpart() -> None:
    with running_rig() as rig, installed(stepfunctions_repairs()):
        arn = rig.start(machine("A", A={"Type": "Wait", "Seconds": 60, "End": True}))
        rig.client.stop_execution(executionArn=arn)
        with pytest.raises(ValueError, match="ABORTED"):
            compare_execution(rig.client, arn)


def test_all_executions_that_ended_by_themselves_are_compared() -> None:
    with running_rig() as rig, installed(stepfunctions_repairs()):
        ended = {rig.run(RETRY).arn, rig.run(machine("A", A={"Type": "Pass", "End": True})).arn}
        rig.start(machine("A", A={"Type": "Wait", "Seconds": 60, "End": True}))
        compared = compare_all(rig.client)
    assert compared.keys() == ended
    assert not any(compared.values())


def test_the_second_interpreter_is_left_as_it_was(recorded: tuple[Any, Trace]) -> None:
    before = (second.scope, second.run_map, second.execution_context)
    compare_trace(WAVE, *recorded)
    assert (second.scope, second.run_map, second.execution_context) == before


@pytest.mark.parametrize("definition", [CHAIN, WAVE, RETRY, CATCH, FAILED_MAP])
def test_lint_finds_nothing_in_machines_that_run(definition: Any) -> None:
    assert lint(json.dumps(definition)) == []


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("{", "INVALID_JSON"),
        (json.dumps(changed(("Close", "Next"), "Nowhere")), "Nowhere"),
        (json.dumps(changed(("Close", "Output"), "{% 1 + %}")), "does not parse"),
        (json.dumps(changed(("Close", "Retry"), [{"ErrorEquals": [], "MaxAttempts": "3"}])), "MaxAttempts"),
        (json.dumps(changed(("Start", "Result"), 1)), "Result"),
        (json.dumps(changed(("Close", "TimeoutSeconds"), "60")), "TimeoutSeconds"),
        (json.dumps(changed(("Start", "Output"), "{% $states.result %}")), "result"),
        (json.dumps(machine("A", A={"Type": "Succeed"}, B={"Type": "Succeed"})), "B"),
    ],
)
def test_lint_says_what_is_wrong(definition: str, words: str) -> None:
    assert any(words in problem for problem in lint(definition)), lint(definition)
