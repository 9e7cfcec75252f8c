"""`apex run`: what it prints, what it answers and how it ends, for every way in which a goal can end."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import TRIP, Shell, note, plan_file, step

PARIS = TRIP.format(city="Paris", amount="$900")
KEYS = {"workflow_id", "status", "plan", "effects", "result", "error", "transitions", "duration_ms"}


def states(document: dict[str, Any]) -> dict[str, str]:
    return {effect["step_id"]: effect["state"] for effect in document["effects"]}


def test_a_goal_that_completes_is_told_in_one_object_and_ends_with_0(shell: Shell) -> None:
    done = shell("run", PARIS, "--json")
    told = done.document

    assert done.code == 0
    assert set(told) == KEYS
    assert told["status"] == "COMPLETED"
    assert told["error"] is None
    assert {name: told["plan"][name] for name in ("planner", "cache_hit", "template_id")} == {
        "planner": "library",
        "cache_hit": True,
        "template_id": "trip",
    }
    assert told["transitions"] == 16
    assert isinstance(told["duration_ms"], int)
    assert 0 < told["duration_ms"] < 60_000
    assert set(told["result"]) == {"message_id"}


def test_steps_are_told_as_planned_and_effects_as_the_ledger_has_them(shell: Shell) -> None:
    told = shell("run", PARIS, "--json").document
    steps = {one["id"]: one for one in told["plan"]["steps"]}

    assert list(steps) == ["s1", "s2", "s3", "s4", "s5", "s6"]
    assert all(set(one) == {"id", "tool", "input", "depends_on"} for one in steps.values())
    assert steps["s3"]["input"]["flight_id"] == "{{s1.flight_id}}"
    assert steps["s3"]["depends_on"] == ["s1", "s2"]
    assert {(one["tool"], one["state"], one["attempts"]) for one in told["effects"]} == {
        (one["tool"], "CONFIRMED", 1) for one in steps.values()
    }
    order = [one["step_id"] for one in told["effects"]]
    assert set(order[:2]) == {"s1", "s2"}
    assert order[2:] == ["s3", "s4", "s5", "s6"]


def test_people_see_the_timeline_and_the_end(shell: Shell) -> None:
    done = shell("run", PARIS)

    assert done.code == 0
    assert PARIS in " ".join(done.out.split()), "however narrow the terminal is"
    for tool in ("search_flights", "book_flight", "reserve_hotel", "charge_payment", "send_confirmation"):
        assert tool in done.out
    assert "COMPLETED" in done.out
    assert "16 state transitions" in done.out
    assert "WorkflowCompleted" in done.err  # progress, event by event, where no terminal moves


def test_a_rejected_step_is_rolled_back_and_ends_with_1(shell: Shell) -> None:
    done = shell("run", TRIP.format(city="Rome", amount="$9,000"), "--json")
    told = done.document

    assert done.code == 1
    assert told["status"] == "FAILED"
    assert told["result"] is None
    assert set(told["error"]) == {"code", "step_id", "error", "message"}
    assert (told["error"]["code"], told["error"]["step_id"]) == ("APX-4003", "s5")
    assert "declined" in told["error"]["message"]
    assert not told["error"]["message"].startswith("APX-")
    assert states(told) == {
        **{"s1": "CONFIRMED", "s2": "CONFIRMED", "s3": "COMPENSATED"},
        **{"s4": "COMPENSATED", "s5": "FENCED", "s6": "FENCED"},
    }
    assert [one["attempts"] for one in told["effects"] if one["step_id"] == "s6"] == [0]
    assert [one["step_id"] for one in told["effects"]][-1] == "s6"


def test_people_see_what_was_undone_in_which_order(shell: Shell) -> None:
    done = shell("run", TRIP.format(city="Rome", amount="$9,000"))

    assert done.code == 1
    hotel, flight = done.out.index("cancel_hotel"), done.out.index("cancel_flight")
    assert hotel < flight
    assert "never started" in done.out
    assert "FAILED: nothing of it remains outside" in done.out


@pytest.mark.parametrize("target", ["s4", "reserve_hotel"])
def test_a_step_can_be_made_to_fail_by_id_or_tool(shell: Shell, target: str) -> None:
    done = shell("run", PARIS, "--fail", target, "--json")

    assert done.code == 1
    assert done.document["error"]["step_id"] == "s4"
    assert states(done.document)["s3"] == "COMPENSATED"
    assert shell.witness.ledger_of(done.document["workflow_id"], {"s4": "reserve_hotel", "s5": "charge_payment"}) == []


def test_a_step_to_fail_that_is_not_in_the_plan_is_named(shell: Shell) -> None:
    done = shell("run", PARIS, "--fail", "launch_rocket", "--json")

    assert done.code == 0
    assert done.document["status"] == "COMPLETED"
    assert "launch_rocket" in done.err
    assert "s3 book_flight" in done.err


def test_an_effect_that_cannot_be_undone_parks_the_workflow_and_ends_with_3(shell: Shell) -> None:
    shell.witness.order_fault("flights", {"operation": "cancel", "mode": "error_before", "times": None})

    done = shell("run", TRIP.format(city="Rome", amount="$9,000"), "--json")

    assert shell.witness.faults_fired("flights") > 0
    assert done.code == 3
    assert done.document["status"] == "PARKED"
    assert states(done.document)["s3"] == "PARKED"
    assert states(done.document)["s4"] == "COMPENSATED"
    assert "s3" in done.document["error"]["message"]


def test_a_goal_that_nobody_can_plan_ends_with_1_and_says_what_to_do(shell: Shell) -> None:
    done = shell("run", "Paint my house", "--json")

    assert done.code == 1
    assert done.document["status"] == "FAILED"
    assert done.document["plan"] is None
    assert done.document["effects"] == []
    assert done.document["error"]["code"] == "APX-2001"
    assert done.document["error"]["step_id"] is None

    in_words = shell("run", "Paint my house")
    assert "APEX_LLM_MODEL" in in_words.out
    assert in_words.out.count("APX-2001") == 1


def test_a_plan_of_ones_own_is_run(shell: Shell, tmp_path: Path) -> None:
    file = plan_file(
        tmp_path, note("first"), step("last", "respond_to_user", "first", message="kept as {{first.record_id}}")
    )
    told = shell("run", "write it down", "--plan", file, "--json").document

    assert told["status"] == "COMPLETED"
    assert told["plan"]["planner"] == "submitted"
    assert told["plan"]["cache_hit"] is False
    assert [one["id"] for one in told["plan"]["steps"]] == ["first", "last"]
    assert told["result"]["message"].startswith("kept as ")


def test_the_same_key_again_is_the_same_workflow_and_runs_nothing(shell: Shell, tmp_path: Path) -> None:
    file = plan_file(tmp_path, note("s1"))
    first = shell("run", "note it", "--plan", file, "--key", "order-17", "--json")
    again = shell("run", "note it", "--plan", file, "--key", "order-17", "--json")

    assert first.code == again.code == 0
    assert again.document["workflow_id"] == first.document["workflow_id"]
    assert again.document["effects"] == first.document["effects"]
    assert again.document["duration_ms"] == first.document["duration_ms"]
    assert "used before" in again.err


def test_the_same_key_ends_as_its_workflow_did(shell: Shell) -> None:
    for _ in range(2):
        assert shell("run", "Paint my house", "--key", "house-1").code == 1


def test_the_same_key_for_something_else_is_a_conflict(shell: Shell, tmp_path: Path) -> None:
    shell("run", "note it", "--plan", plan_file(tmp_path, note("s1")), "--key", "order-18")
    done = shell("run", "another note", "--key", "order-18", "--json")

    assert done.code == 2
    assert done.document["error"]["code"] == "APX-1501"
    assert done.document["error"]["workflow_id"]


def test_an_empty_goal_is_refused(shell: Shell) -> None:
    done = shell("run", "  ")
    assert done.code == 2
    assert "APX-1000" in done.err
    assert done.out == ""


def test_tenants_have_workflows_of_their_own_under_the_same_key(shell: Shell, tmp_path: Path) -> None:
    file = plan_file(tmp_path, note("s1"))
    ids = {
        json.loads(shell("run", "note it", "--plan", file, "--key", "shared", "--tenant", tenant, "--json").out)[
            "workflow_id"
        ]
        for tenant in ("acme", "globex")
    }
    assert len(ids) == 2
