"""How states of the local Step Functions behave where our machines depend on it."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.repairs.stepfunctions_clock import time_scale
from tests.integration.local_cloud.stepfunctions_rig import (
    Rig,
    call,
    installed,
    machine,
    running_rig,
    stepfunctions_repairs,
    wait_for_token,
)

DONE = {"Type": "Succeed"}


class StepRejected(Exception):
    """What a handler raises for a business outcome."""


class StepBusy(Exception):
    """What a handler raises to be tried again."""


def reject(event: Any) -> Any:
    raise StepRejected(f"no {event['step_id']}")


def run_step(event: Any) -> Any:
    if event.get("reject"):
        reject(event)
    return {"step_id": event["step_id"], "outcome": "confirmed"}


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with running_rig() as found, installed(stepfunctions_repairs()):
        found.handlers |= {"run_step": run_step, "reject": reject}
        yield found


def test_a_loop_with_a_cursor_and_an_accumulator(rig: Rig) -> None:
    definition = machine(
        "Start",
        Start={"Type": "Pass", "Assign": {"i": 0, "seen": []}, "Next": "More"},
        More={"Type": "Choice", "Choices": [{"Condition": "{% $i < 3 %}", "Next": "Step"}], "Default": "End"},
        Step={"Type": "Pass", "Assign": {"i": "{% $i + 1 %}", "seen": "{% $append($seen, [$i]) %}"}, "Next": "More"},
        End={"Type": "Pass", "Output": "{% $seen %}", "End": True},
    )
    assert rig.run(definition).output == [0, 1, 2]


def test_assign_and_output_see_the_variables_from_before_the_state(rig: Rig) -> None:
    definition = machine(
        "A",
        A={"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
        B={"Type": "Pass", "Assign": {"x": 2, "y": "{% $x + 10 %}"}, "Output": "{% $x %}", "Next": "C"},
        C={"Type": "Pass", "Output": "{% [$states.input, $x, $y] %}", "End": True},
    )
    assert rig.run(definition).output == [1, 2, 11]


def test_a_task_assigns_from_its_result_and_keeps_its_input_in_reach(rig: Rig) -> None:
    task = call(
        "run_step",
        {"step_id": "s1"},
        Assign={"outcome": "{% $states.result.Payload.outcome %}"},
        Output="{% $states.input.tenant & ':' & $states.result.Payload.step_id %}",
        Next="B",
    )
    last = {"Type": "Pass", "Output": "{% [$states.input, $outcome] %}", "End": True}
    assert rig.run(machine("A", A=task, B=last), {"tenant": "t"}).output == ["t:s1", "confirmed"]


def test_catch_assigns_and_outputs_from_the_error(rig: Rig) -> None:
    catch = {
        "ErrorEquals": ["StepRejected"],
        "Assign": {"error": "{% $states.errorOutput.Error %}"},
        "Output": {"why": "{% $parse($states.errorOutput.Cause).errorMessage %}", "for": "{% $states.input.tenant %}"},
        "Next": "B",
    }
    last = {"Type": "Pass", "Output": "{% [$error, $states.input] %}", "End": True}
    outcome = rig.run(
        machine("A", A=call("reject", {"step_id": "s1"}, Catch=[catch], End=True), B=last), {"tenant": "t"}
    )
    assert outcome.output == ["StepRejected", {"why": "no s1", "for": "t"}]


@pytest.mark.parametrize(
    "fields",
    [
        {"Arguments": {"FunctionName": "echo", "Payload": "{% $nowhere %}"}},
        {"Assign": {"x": "{% $nowhere %}"}},
        {"Output": "{% $nowhere %}"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_an_expression_that_fails_in_a_task_is_caught_there(rig: Rig, fields: Any) -> None:
    catch = {"ErrorEquals": ["States.ALL"], "Output": "{% [$states.errorOutput.Error, $states.input] %}", "Next": "B"}
    task = {**call("echo", {}, Catch=[catch], End=True), **fields}
    assert rig.run(machine("A", A=task, B=DONE), "given").output == ["States.QueryEvaluationError", "given"]


def test_variables_keep_what_they_had_when_an_attempt_fails_after_assign(rig: Rig) -> None:
    catch = {"ErrorEquals": ["States.ALL"], "Next": "B"}
    task = call("echo", {}, Assign={"x": 2}, Output="{% $nowhere %}", Catch=[catch], End=True)
    first = {"Type": "Pass", "Assign": {"x": 1}, "Next": "Task"}
    definition = machine("A", A=first, Task=task, B={"Type": "Pass", "Output": "{% $x %}", "End": True})
    assert rig.run(definition).output == 1


def test_an_expression_that_fails_outside_a_task_ends_the_execution(rig: Rig) -> None:
    outcome = rig.run(machine("A", A={"Type": "Pass", "Output": "{% $nowhere %}", "End": True}))
    assert (outcome.status, outcome.error) == ("FAILED", "States.QueryEvaluationError")
    assert "EvaluationFailed" in rig.types(outcome.arn)


def test_a_fail_state_computes_its_error_and_cause(rig: Rig) -> None:
    state = {
        "Type": "Fail",
        "Error": "{% 'E' & $string($states.input.n) %}",
        "Cause": "{% 'n was ' & $string($states.input.n) %}",
    }
    outcome = rig.run(machine("A", A=state), {"n": 3})
    assert (outcome.status, outcome.error, outcome.cause) == ("FAILED", "E3", "n was 3")


def test_a_choice_rule_has_assign_and_output_of_its_own(rig: Rig) -> None:
    rule = {"Condition": "{% $states.input.n > 5 %}", "Assign": {"size": "big"}, "Output": "by rule", "Next": "B"}
    choice = {"Type": "Choice", "Choices": [rule], "Default": "B", "Assign": {"size": "small"}, "Output": "by default"}
    definition = machine("A", A=choice, B={"Type": "Pass", "Output": "{% [$size, $states.input] %}", "End": True})
    assert rig.run(definition, {"n": 7}).output == ["big", "by rule"]
    assert rig.run(definition, {"n": 3}).output == ["small", "by default"]


def test_a_retry_takes_its_time_from_the_scale_and_counts_its_attempts(rig: Rig) -> None:
    left = [StepBusy("1"), StepBusy("2")]

    def busy(_: Any) -> str:
        if left:
            raise left.pop()
        return "done"

    rig.handlers["busy"] = busy
    retry = {
        "ErrorEquals": ["StepBusy"],
        "IntervalSeconds": 60,
        "BackoffRate": 3,
        "MaxDelaySeconds": 90,
        "MaxAttempts": 5,
        "JitterStrategy": "FULL",
    }
    output = "{% [$states.result.Payload, $states.context.State.RetryCount] %}"
    with time_scale(0.001):
        outcome = rig.run(machine("A", A=call("busy", {}, Retry=[retry], Output=output, End=True)))
    assert outcome.output == ["done", 2]


def test_retries_end_after_max_attempts(rig: Rig) -> None:
    attempts: list[Any] = []

    def always_busy(event: Any) -> None:
        attempts.append(event)
        raise StepBusy("always")

    rig.handlers["always_busy"] = always_busy
    retry = [{"ErrorEquals": ["StepBusy"], "MaxAttempts": 2}]
    with time_scale(0):
        outcome = rig.run(machine("A", A=call("always_busy", {}, Retry=retry, End=True)))
    assert (outcome.error, len(attempts)) == ("StepBusy", 3)


def test_the_timeout_of_a_task_may_be_an_expression(rig: Rig) -> None:
    released = threading.Event()
    rig.handlers["slow"] = lambda _: released.wait(10)
    catch = {"ErrorEquals": ["States.Timeout"], "Output": "{% $states.errorOutput.Error %}", "Next": "B"}
    task = call("slow", {}, TimeoutSeconds="{% $states.input.limit %}", Catch=[catch], End=True)
    outcome = rig.run(machine("A", A=task, B=DONE), {"limit": 1})
    released.set()
    assert outcome.output == "States.Timeout"


def test_a_late_result_is_ignored_and_leaves_no_trace(rig: Rig) -> None:
    released, ended = threading.Event(), threading.Event()

    def slow(_: Any) -> str:
        released.wait(10)
        ended.set()
        return "late"

    rig.handlers["late"] = slow
    catch = {"ErrorEquals": ["States.Timeout"], "Output": "timed out", "Next": "B"}
    late = call("late", {}, TimeoutSeconds=1, Catch=[catch], End=True)
    arn = rig.start(machine("A", A=late, B=wait_for_token(TimeoutSeconds=30)))
    token = rig.token(arn)
    released.set()
    ended.wait(10)
    time.sleep(0.1)
    rig.client.send_task_success(taskToken=token, output='"on time"')
    assert rig.outcome(arn).output == "on time"
    assert rig.types(arn).count("TaskSucceeded") == 1


def each(items: Any, task: Any, **fields: Any) -> Any:
    inner = {"StartAt": "Step", "States": {"Step": task, "Settled": {"Type": "Pass", "End": True}}}
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, **inner}
    return {"Type": "Map", "Items": items, "MaxConcurrency": 10, "ItemProcessor": processor, "End": True, **fields}


STEP = call(
    "run_step",
    {"step_id": "{% $states.input.id %}", "reject": "{% $states.input.reject %}", "wave": "{% $wave %}"},
    Assign={"mine": "{% $states.result.Payload.step_id %}"},
    Output="{% $states.result.Payload %}",
    Catch=[
        {
            "ErrorEquals": ["StepRejected"],
            "Output": {"step_id": "{% $states.input.id %}", "outcome": "rejected"},
            "Next": "Settled",
        }
    ],
    Next="Settled",
)
READY = [{"id": "a", "reject": False}, {"id": "b", "reject": True}, {"id": "c", "reject": False}]


@pytest.mark.parametrize(("rejected", "count"), [((), 0), (("b",), 1), (("a", "b", "c"), 3)])
def test_a_map_gathers_business_outcomes_and_counts_them(rig: Rig, rejected: tuple[str, ...], count: int) -> None:
    ready = [{"id": name, "reject": name in rejected} for name in "abc"]
    bad = "{% $count($filter($states.result, function($r) { $r.outcome != 'confirmed' })) %}"
    definition = machine(
        "Start",
        Start={"Type": "Pass", "Assign": {"wave": 1, "ready": ready}, "Next": "Map"},
        Map=each("{% $ready %}", STEP, Assign={"bad": bad}, Next="Last"),
        Last={"Type": "Pass", "Output": "{% {'bad': $bad, 'steps': $states.input.step_id} %}", "End": True},
    )
    del definition["States"]["Map"]["End"]
    assert rig.run(definition).output == {"bad": count, "steps": ["a", "b", "c"]}


@pytest.mark.parametrize("items", [[], READY[:1]])
def test_a_map_over_no_or_one_item_yields_an_array(rig: Rig, items: Any) -> None:
    definition = machine("A", A={"Type": "Pass", "Assign": {"wave": 1}, "Next": "Map"}, Map=each(items, STEP))
    assert [found["step_id"] for found in rig.run(definition).output] == [item["id"] for item in items]


def test_an_item_selector_reads_the_item_the_input_and_the_variables(rig: Rig) -> None:
    selector = {
        "id": "{% $states.context.Map.Item.Value.id & $string($states.context.Map.Item.Index) & $states.input.tail %}",
        "reject": "{% $wave > 1 %}",
    }
    definition = machine(
        "A",
        A={"Type": "Pass", "Assign": {"wave": 1}, "Next": "Map"},
        Map=each(READY[:2], STEP, ItemSelector=selector),
    )
    assert [found["step_id"] for found in rig.run(definition, {"tail": "!"}).output] == ["a0!", "b1!"]


@pytest.mark.parametrize("limit", [1, 3, "{% $states.input.limit %}"])
def test_a_map_runs_as_many_items_at_once_as_it_may(rig: Rig, limit: Any) -> None:
    running, most, lock = [0], [0], threading.Lock()

    def watch(_: Any) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.1)
        with lock:
            running[0] -= 1

    rig.handlers["watch"] = watch
    rig.run(
        machine("A", A=each([1, 2, 3, 4, 5, 6], call("watch", {}, Next="Settled"), MaxConcurrency=limit)), {"limit": 2}
    )
    assert most[0] == (2 if isinstance(limit, str) else limit)


def test_a_map_that_fails_passes_the_error_on_and_starts_nothing_more(rig: Rig) -> None:
    started: list[str] = []

    def second(event: Any) -> None:
        started.append(event)

    rig.handlers |= {"second": second, "slow_ok": lambda _: time.sleep(0.3)}
    failing = {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input = 'bad' %}", "Next": "Bad"}],
        "Default": "Ok",
    }
    states = {
        "Step": failing,
        "Bad": call("reject", {"step_id": "bad"}, End=True),
        "Ok": call("slow_ok", {}, Next="Second"),
        "Second": call("second", {}, End=True),
    }
    catch = {"ErrorEquals": ["StepRejected"], "Output": "{% $states.errorOutput.Error %}", "Next": "Wait"}
    definition = machine(
        "A",
        A={**each(["bad", "ok"], {}, Catch=[catch]), "ItemProcessor": {"StartAt": "Step", "States": states}},
        Wait={"Type": "Wait", "Seconds": 1, "End": True},
    )
    assert rig.run(definition).output == "StepRejected"
    assert started == []


def test_an_iteration_cannot_assign_what_its_surroundings_have_assigned(rig: Rig) -> None:
    inner = {"Type": "Pass", "Assign": {"wave": 2}, "Next": "Settled"}
    definition = machine("A", A={"Type": "Pass", "Assign": {"wave": 1}, "Next": "Map"}, Map=each([1], inner))
    outcome = rig.run(definition)
    assert (outcome.status, outcome.error) == ("FAILED", "States.Runtime")


def test_states_all_catches_neither_too_much_data_nor_runtime_errors(rig: Rig) -> None:
    rig.handlers["big"] = lambda _: "x" * 300_000
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    outcome = rig.run(machine("A", A=call("big", {}, Catch=catch, End=True), B=DONE))
    assert (outcome.status, outcome.error) == ("FAILED", "States.DataLimitExceeded")


def test_a_parallel_passes_on_an_error_of_the_states_language(rig: Rig) -> None:
    branch = {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "Output": "{% $nowhere %}", "End": True}}}
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Output": "caught", "Next": "B"}]
    parallel = {"Type": "Parallel", "Branches": [branch], "Catch": catch, "End": True}
    assert rig.run(machine("A", A=parallel, B=DONE)).output == "caught"


def test_a_task_token_brings_the_result_back(rig: Rig) -> None:
    arn = rig.start(machine("A", A=wait_for_token(TimeoutSeconds=30, HeartbeatSeconds=20)))
    token = rig.token(arn)
    rig.client.send_task_heartbeat(taskToken=token)
    rig.client.send_task_success(taskToken=token, output='{"decision": "approved"}')
    assert rig.outcome(arn).output == {"decision": "approved"}


def test_a_wait_state_is_scaled(rig: Rig) -> None:
    with time_scale(0.001):
        outcome = rig.run(machine("A", A={"Type": "Wait", "Seconds": "{% $states.input %}", "End": True}), 300)
    assert outcome.status == "SUCCEEDED"


def test_time_cannot_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"), time_scale(-1):
        pass


def test_literals_of_every_kind_survive_assign_arguments_and_output(rig: Rig) -> None:
    literal = {"text": 'say "hi" \\ \n\té', "list": [1, 2.5, True, None, {"a": "b"}], "empty": {}}
    task = call(
        "echo",
        literal,
        Assign={"x": literal},
        Output={"x": literal, "result": "{% $states.result.Payload %}"},
        Next="B",
    )
    last = {"Type": "Pass", "Output": "{% {'assigned': $x, 'was': $states.input} %}", "End": True}
    outcome = rig.run(machine("A", A=task, B=last))
    assert outcome.output == {"assigned": literal, "was": {"x": literal, "result": literal}}
