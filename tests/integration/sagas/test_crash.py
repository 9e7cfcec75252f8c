"""Everything is killed at once (SIGKILL), and started again on the same data directory: it goes on by itself."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from apex.faults import FaultPoint
from apex.schema.ids import WorkflowRef, workflow_id_for
from apex.schema.ledger import EffectState, Head, Mode
from infra.cli.reading import open_store
from infra.local.session import LocalSession
from tests.integration.sagas.conftest import TRIP, Run, System
from tests.integration.sagas.trouble import Clockwork, Interference

PARIS = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$900")
TOO_EXPENSIVE = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$9,000")
KEY = "the-key-of-the-killed"
REF = WorkflowRef("acme", workflow_id_for("acme", KEY))


def kill_at(directory: Path, point: FaultPoint, tool: str, goal: str) -> None:
    command = [sys.executable, "-m", "tests.integration.sagas.killed", str(directory), point.value, tool, KEY, goal]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@contextmanager
def started_again(directory: Path, clockwork: Clockwork) -> Iterator[Run]:
    """The same directory a minute later, when leases are over: nothing is submitted, it is only waited for the end."""
    clockwork.advance(timedelta(minutes=1))
    interference = Interference()
    with LocalSession(directory, around_invoke=interference) as session:
        yield System(session, interference).wait(REF)


@pytest.mark.parametrize(
    ("point", "tool", "calls"),
    [
        (FaultPoint.BEFORE_INTENT, "book_flight", 1),
        (FaultPoint.AFTER_INTENT, "book_flight", 2),
        (FaultPoint.AFTER_EFFECT, "book_flight", 2),
        (FaultPoint.AFTER_OUTCOME, "book_flight", 1),
        (FaultPoint.AFTER_EFFECT, "send_confirmation", 2),
    ],
)
def test_a_killed_workflow_completes_with_each_effect_once(
    tmp_path: Path, clockwork: Clockwork, point: FaultPoint, tool: str, calls: int
) -> None:
    kill_at(tmp_path, point, tool, PARIS)

    with started_again(tmp_path, clockwork) as run:
        assert run.head.mode is Mode.COMPLETED
        for provider in ("flights", "hotels", "payments"):
            assert run.effects(provider) == ["apply"]
        assert [event.tool_name for event in run.of_type("ToolCallRequested")].count(tool) == calls
        assert set(run.states.values()) == {EffectState.CONFIRMED}
        sent = run.of_type("WorkflowCompleted")[0].final_result["message_id"]
        assert run.system.session.house.store.read_record("records", "acme", f"outbox#{sent}") is not None


def test_a_charge_whose_receipt_was_lost_with_the_process_is_refunded(tmp_path: Path, clockwork: Clockwork) -> None:
    """The bank tells that the charge settled, but not its receipt again; so the workflow cannot go on."""
    kill_at(tmp_path, FaultPoint.AFTER_EFFECT, "charge_payment", PARIS)

    with started_again(tmp_path, clockwork) as run:
        assert run.head.mode is Mode.FAILED
        for provider in ("flights", "hotels", "payments"):
            assert run.effects(provider) == ["apply", "undo"]


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_UNDO, FaultPoint.AFTER_UNDO, FaultPoint.AFTER_COMPENSATION])
def test_a_killed_rollback_is_finished(tmp_path: Path, clockwork: Clockwork, point: FaultPoint) -> None:
    kill_at(tmp_path, point, "reserve_hotel", TOO_EXPENSIVE)

    with started_again(tmp_path, clockwork) as run:
        assert run.head.mode is Mode.FAILED
        assert [event.tool_name for event in run.of_type("CompensationCompleted")] == ["reserve_hotel", "book_flight"]
        for provider in ("flights", "hotels"):
            assert run.effects(provider) == ["apply", "undo"]


def test_apex_up_carries_on_by_itself(tmp_path: Path) -> None:
    kill_at(tmp_path, FaultPoint.AFTER_OUTCOME, "charge_payment", PARIS)
    assert stored(tmp_path).mode is Mode.RUNNING

    command = [sys.executable, "-m", "infra.cli.main", "up", "--data", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
        try:
            end = time.monotonic() + 60
            while stored(tmp_path).mode is Mode.RUNNING:
                assert time.monotonic() < end, "nothing goes on"
                time.sleep(0.2)
        finally:
            up.send_signal(signal.SIGTERM)

    with open_store(tmp_path) as store:
        assert store.head(REF).mode is Mode.COMPLETED
        assert {entry.attempt for entry in store.entries(REF).values()} == {1}


def stored(directory: Path) -> Head:
    with open_store(directory) as store:
        return store.head(REF)
