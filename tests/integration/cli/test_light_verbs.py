"""Verbs that need no local cloud: they answer at once, and say everything that is wrong."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from apex.app.catalogue import library, registry
from apex.ports.planning import PlanRequest
from tests.integration.cli.conftest import Caller, apex, environment, note, plan_file, step

HEAVY = ("moto", "boto3", "aws_cdk", "flask")


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["tools"], ["plan", "validate", "PLAN"], ["run", "--help"]]
)
def test_light_verbs_load_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    plan = plan_file(tmp_path, note("s1"))
    given = [str(plan) if word == "PLAN" else word for word in words]
    program = (
        "import sys; from infra.cli.main import main; code = main(sys.argv[1:]);"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *given],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "heavy: []"


def test_the_installed_program_tells_its_version(call: Caller) -> None:
    done = call("--version")
    assert (done.code, done.out) == (0, f"apex {version('apex-orchestrator')}\n")


def test_every_verb_has_help_with_an_example(call: Caller) -> None:
    for verb in (["run"], ["up"], ["show"], ["events"], ["workflows"], ["tools"], ["plan", "validate"], ["demo"]):
        done = call(*verb, "--help")
        assert done.code == 0
        assert f"apex {' '.join(verb)}" in done.out.partition("Example")[2], verb


def test_tools_tells_of_every_tool_what_a_planner_must_know(call: Caller) -> None:
    done = call("tools", "--json")
    tools = {tool["name"]: tool for tool in done.document}

    assert done.code == 0
    assert set(tools) == set(registry().contracts)
    assert tools["book_flight"] == {
        "name": "book_flight",
        "description": registry().contracts["book_flight"].description,
        "lane": "YELLOW",
        "effect": "reversible",
        "undo": "cancel_flight",
        "probe": True,
        "timeout_seconds": 10.0,
        "price_usd": 0.0,
        "examples": list(registry().contracts["book_flight"].examples),
    }
    assert tools["search_flights"]["undo"] is None


def test_tools_shows_people_the_same_and_which_goals_can_be_planned(call: Caller) -> None:
    done = call("tools")
    for contract in registry().contracts.values():
        assert contract.name in done.out
        assert contract.description in done.out
    assert "undone by cancel_flight" in done.out
    for pattern in library().patterns:
        assert pattern.templates[0].shown in done.out


def test_the_goals_in_the_help_can_be_planned(call: Caller) -> None:
    shown = " ".join(call("run", "--help").out.split())
    goals = [
        "Book a flight to Paris tomorrow, reserve a hotel near the Eiffel Tower and charge $900 to my card",
        "Book a flight to Rome tomorrow and reserve a hotel near the Colosseum",
    ]
    for goal in goals:
        assert goal in shown.replace("\\$", "$")
        assert library().find(PlanRequest("local", goal, datetime.now(UTC))) is not None


def test_a_valid_plan_is_valid(call: Caller, tmp_path: Path) -> None:
    file = plan_file(tmp_path, note("s1"), note("s2", "s1"))
    assert call("plan", "validate", file).code == 0
    done = call("plan", "validate", file, "--json")
    assert (done.code, done.document) == (0, {"valid": True, "problems": []})


def test_every_problem_of_a_plan_is_told_at_once(call: Caller, tmp_path: Path) -> None:
    file = plan_file(
        tmp_path,
        note("s1", "s2"),
        note("s2", "s1"),
        step("s3", "launch_rocket"),
        step("s4", "charge_payment", amount="10000.00", card="c"),
    )
    done = call("plan", "validate", file, "--json")
    told = "\n".join(done.document["problems"])

    assert done.code == 2
    assert done.document["valid"] is False
    for expected in ("circle", "launch_rocket", "charge_payment"):
        assert expected in told

    in_words = call("plan", "validate", file)
    assert in_words.code == 2
    assert in_words.out == ""
    assert "APX-1101" in in_words.err
    for problem in done.document["problems"]:
        assert problem in in_words.err


def test_a_plan_can_come_through_standard_input() -> None:
    done = apex("plan", "validate", "-", "--json", stdin=json.dumps({"steps": [note("s1")]}))
    assert (done.code, done.document["valid"]) == (0, True)


def test_what_is_not_a_plan_is_refused(call: Caller, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text("{not json")
    done = call("plan", "validate", file, "--json")
    assert (done.code, done.document["valid"]) == (2, False)
    assert "not valid JSON" in done.document["problems"][0]


def test_a_file_that_is_not_there_is_an_error_of_the_user(call: Caller, tmp_path: Path) -> None:
    for words in (("plan", "validate", tmp_path / "none.json"), ("run", "goal", "--plan", tmp_path / "none.json")):
        done = call(*words)
        assert done.code == 2
        assert "APX-1000" in done.err
        assert "none.json" in done.err
        assert "Traceback" not in done.err


def test_an_invalid_plan_is_refused_before_anything_starts(call: Caller, tmp_path: Path) -> None:
    file = plan_file(tmp_path, step("s1", "launch_rocket"), note("s2", "s9"))
    done = call("run", "to the moon", "--plan", file, "--data", tmp_path / "data", "--json")

    assert done.code == 2
    assert done.document["error"]["code"] == "APX-1101"
    assert len(done.document["error"]["problems"]) == 2
    assert not (tmp_path / "data").exists()


def test_a_step_to_fail_must_be_in_the_plan(call: Caller, tmp_path: Path) -> None:
    file = plan_file(tmp_path, note("s1"))
    done = call("run", "goal", "--plan", file, "--fail", "s7")
    assert done.code == 2
    assert "s7" in done.err


def test_failing_a_step_needs_handlers_in_threads(call: Caller) -> None:
    done = call("run", "goal", "--fail", "s1", "--isolation", "processes", "--json")
    assert done.code == 2
    assert "threads" in done.document["error"]["message"]


@pytest.mark.parametrize(
    "words",
    [["frobnicate"], ["run"], ["run", "a", "b"], ["run", "a", "--isolation", "magic"], ["workflows", "--limit", "0"]],
)
def test_a_mistake_on_the_command_line_is_told_in_the_form_that_was_asked_for(call: Caller, words: list[str]) -> None:
    in_words = call(*words)
    assert in_words.code == 2
    assert in_words.out == ""
    assert in_words.err

    as_document = call(*words, "--json")
    assert as_document.code == 2
    assert as_document.document["error"]["code"] == "APX-1000"


@pytest.mark.parametrize("words", [["show", "abc"], ["events", "abc"], ["workflows"]])
def test_reading_needs_to_know_where(call: Caller, words: list[str]) -> None:
    done = call(*words)
    assert done.code == 2
    assert "--data" in done.err
    assert "APEX_DATA" in done.err


@pytest.mark.parametrize("words", [["show", "abc"], ["events", "abc"], ["workflows"]])
def test_reading_where_nothing_is_says_so(call: Caller, words: list[str], tmp_path: Path) -> None:
    done = call(*words, "--data", tmp_path / "nothing", "--json")
    assert done.code == 2
    assert done.document["error"]["code"] == "APX-1400"
    assert not (tmp_path / "nothing").exists()


def test_a_file_cannot_be_a_data_directory(call: Caller, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    done = call("run", "goal", "--data", file)
    assert done.code == 2
    assert "APX-1000" in done.err


def test_a_defect_is_told_without_a_traceback_unless_one_is_asked_for(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("this was not meant to happen")

    monkeypatch.setattr("apex.app.catalogue.registry", broken)
    done = call("tools")
    assert done.code == 4
    assert "APX-0001" in done.err
    assert "Traceback" not in done.err
    assert "Traceback" in call("tools", "--debug").err
