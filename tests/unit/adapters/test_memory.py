"""The clock and the executions in memory; the store in memory is tested with the others of its port."""

from datetime import UTC, datetime, timedelta

import pytest

from apex.adapters.memory import ManualClock, RecordingExecutions, Started
from apex.ports.surroundings import Clock, Executions
from apex.schema.ids import execution_name


def test_time_moves_only_when_told() -> None:
    clock: Clock = (manual := ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    assert clock.now() == clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    clock.sleep(1.5)
    assert clock.now() == datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert manual.advance(timedelta(days=1)) == clock.now() == datetime(2026, 1, 2, 0, 0, 1, 500_000, tzinfo=UTC)


def test_time_does_not_go_back_and_has_an_offset() -> None:
    clock = ManualClock()
    with pytest.raises(ValueError, match="back"):
        clock.advance(timedelta(seconds=-1))
    with pytest.raises(ValueError, match="back"):
        clock.sleep(-1)
    with pytest.raises(ValueError, match="offset"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - exactly what must be refused


def test_an_execution_is_started_once() -> None:
    executions: Executions = (recording := RecordingExecutions())
    assert executions.start_agent("acme", "w", 1) == execution_name("w", 1)
    assert executions.start_rollback("acme", "w", 1) == execution_name("w", 1, rollback=True)
    assert executions.start_agent("acme", "w", 1) == execution_name("w", 1)
    assert executions.start_agent("other", "w", 1) == execution_name("w", 1)
    assert recording.started == [
        Started("agent_workflow", "acme", "w", 1),
        Started("rollback", "acme", "w", 1),
        Started("agent_workflow", "other", "w", 1),
    ]


def test_an_execution_runs_until_it_is_said_to_have_ended() -> None:
    executions = RecordingExecutions()
    assert executions.agent_status("w", 1) is None
    name = executions.start_agent("acme", "w", 1)
    executions.start_rollback("acme", "w", 2)
    executions.end(name, "TIMED_OUT")
    executions.start_agent("acme", "w", 1)
    assert executions.agent_status("w", 1) == "TIMED_OUT"
    assert executions.rollback_status("w", 2) == "RUNNING"
    assert executions.rollback_status("w", 1) is None
