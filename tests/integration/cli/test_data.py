"""With --data: what a run leaves behind, and how other processes read it, also while it is being written."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import (
    PATIENCE_SECONDS,
    TRIP,
    Caller,
    Done,
    apex,
    command,
    environment,
    note,
    plan_file,
)

PARIS = TRIP.format(city="Paris", amount="$900")


@dataclass(frozen=True)
class Kept:
    """A data directory after one run that failed and one that completed."""

    folder: Path
    failed: Done
    completed: Done

    @property
    def completed_id(self) -> str:
        return str(self.completed.document["workflow_id"])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("kept") / "data"
    failed = apex("run", PARIS, "--fail", "charge_payment", "--data", folder, "--json")
    completed = apex("run", PARIS, "--key", "paris-1", "--json", APEX_DATA=str(folder))
    return Kept(folder, failed, completed)


def test_a_process_prints_one_document_and_nothing_else(kept: Kept) -> None:
    assert (kept.failed.code, kept.completed.code) == (1, 0)
    assert kept.completed.document["status"] == "COMPLETED"
    assert kept.completed.err == ""


def test_what_handlers_log_is_kept_in_a_file(kept: Kept) -> None:
    lines = (kept.folder / "handlers.log").read_text().splitlines()
    assert any(line.startswith("apex-dev-tool-book_flight {") for line in lines)
    assert any(kept.completed_id in line for line in lines)


def test_show_tells_what_run_told(kept: Kept, call: Caller) -> None:
    shown = call("show", kept.completed_id, "--data", kept.folder, "--json")
    told = {**kept.completed.document, "transitions": None}

    assert shown.code == 0
    assert {name: shown.document[name] for name in told} == told
    assert shown.document["goal"] == PARIS
    assert shown.document["events"] == 15
    timings = {one["step_id"]: one for one in shown.document["timings"]["steps"]}
    assert set(timings) == {"s1", "s2", "s3", "s4", "s5", "s6"}
    assert timings["s3"]["duration_ms"] >= 0
    assert timings["s3"]["undo_duration_ms"] is None


def test_the_beginning_of_an_id_is_enough(kept: Kept, call: Caller) -> None:
    failed_id = kept.failed.document["workflow_id"]
    short = next(failed_id[:length] for length in range(1, 37) if failed_id[:length] != kept.completed_id[:length])
    shown = call("show", short, "--data", kept.folder)

    assert shown.code == 0
    assert failed_id in shown.out
    assert "cancel_flight" in shown.out


def test_an_id_that_is_not_there_is_not_found(kept: Kept, call: Caller) -> None:
    for unknown in ("ffffffff-ffff-5fff-8fff-ffffffffffff", "zzz"):
        done = call("show", unknown, "--json", "--data", kept.folder)
        assert done.code == 2
        assert done.document["error"]["code"] == "APX-1401"


def test_another_tenant_does_not_find_it(kept: Kept, call: Caller) -> None:
    done = call("show", kept.completed_id, "--data", kept.folder, "--tenant", "globex", "--json")
    assert (done.code, done.document["error"]["code"]) == (2, "APX-1401")


def test_events_are_told_as_they_are_stored(kept: Kept, call: Caller) -> None:
    done = call("events", kept.completed_id, "--data", kept.folder, "--json")
    events: list[dict[str, Any]] = done.document

    assert done.code == 0
    assert [event["seq"] for event in events] == list(range(1, 16))
    assert events[0]["type"] == "GoalReceived"
    assert events[0]["goal"] == PARIS
    assert events[-1]["type"] == "WorkflowCompleted"
    booked = next(event for event in events if event["type"] == "ToolResultReceived" and event["step_id"] == "s3")
    assert booked["result"]["booking_id"].startswith("BK-")


def test_workflows_are_listed_newest_first(kept: Kept, call: Caller) -> None:
    everything = call("workflows", "--data", kept.folder, "--json").document
    assert [one["status"] for one in everything] == ["COMPLETED", "FAILED"]
    assert {one["goal"] for one in everything} == {PARIS}

    newest = call("workflows", "--data", kept.folder, "--limit", "1")
    assert kept.completed_id in newest.out
    assert kept.failed.document["workflow_id"] not in newest.out


def test_the_same_key_in_a_later_process_is_the_same_workflow(kept: Kept) -> None:
    again = apex("run", PARIS, "--key", "paris-1", "--data", kept.folder, "--json")

    assert again.code == 0
    assert again.document == {**kept.completed.document, "transitions": None}
    assert "used before" in again.err


def chain(length: int) -> list[dict[str, Any]]:
    return [note(f"s{n}", *([f"s{n - 1}"] if n else []), text=str(n)) for n in range(length)]


def wait_for_records(file: Path, least: int) -> None:
    """Wait until the running command has created so many records."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        if file.is_file():
            with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
                try:
                    query = "SELECT count(*) FROM items WHERE table_name LIKE '%-records'"
                    if connection.execute(query).fetchone()[0] >= least:
                        return
                except sqlite3.OperationalError:
                    pass  # the tables are not there yet
        time.sleep(0.02)
    raise AssertionError("the command did not get that far")


def note_chain(folder: Path, length: int) -> list[str | Path]:
    """The command that runs a long chain of steps, keeping everything under ``folder``."""
    plan = plan_file(folder, *chain(length))
    return ["run", "many notes", "--plan", plan, "--data", folder / "data", "--key", "many", "--json"]


@contextmanager
def under_way(words: list[str | Path], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The running command, stopped for the moment in the middle of its work."""
    with subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            wait_for_records(folder / "data" / "apex.sqlite", 10)
            process.send_signal(signal.SIGSTOP)
            yield process
        finally:
            process.kill()


def test_a_run_can_be_read_while_it_writes_and_says_how_to_go_on_when_it_is_interrupted(
    tmp_path: Path, call: Caller
) -> None:
    with under_way(note_chain(tmp_path, 300), tmp_path) as process:
        listed = call("workflows", "--data", tmp_path / "data", "--json").document
        shown = call("show", listed[0]["workflow_id"], "--data", tmp_path / "data")
        refused = apex("run", "another", "--data", tmp_path / "data", "--json")
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert [one["status"] for one in listed] == ["RUNNING"]
    assert shown.code == 0
    assert "RUNNING: not ended yet" in shown.out
    assert (refused.code, refused.document["error"]["code"]) == (2, "APX-6001")
    assert process.returncode == 130
    assert out == ""
    assert "--key many goes on" in err


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_under_the_same_key(tmp_path: Path) -> None:
    """Slow, because the step that was under way is only taken up again when its lease has ended."""
    words = note_chain(tmp_path, 300)
    with under_way(words, tmp_path) as process:
        process.kill()
        process.wait(PATIENCE_SECONDS)

    finished = apex(*words)

    assert finished.code == 0
    assert finished.document["status"] == "COMPLETED"
    assert {one["state"] for one in finished.document["effects"]} == {"CONFIRMED"}
    with closing(sqlite3.connect(tmp_path / "data" / "apex.sqlite")) as connection:
        query = "SELECT count(*) FROM items WHERE table_name LIKE '%-records' AND sort LIKE '%notes#%'"
        assert connection.execute(query).fetchone()[0] == 300


@pytest.mark.slow
def test_handlers_can_run_in_processes_of_their_own() -> None:
    done = apex("run", PARIS, "--isolation", "processes", "--json")
    assert done.code == 0
    assert done.document["status"] == "COMPLETED"
    assert done.err == ""
