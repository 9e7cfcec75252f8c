"""One trace id from the submit to the tools, and nothing personal in the log lines on the way."""

import json

import pytest

from infra.local.lambdas.logs import LogLine
from infra.local.session import LocalSession
from tests.integration.sagas.conftest import Run, System
from tests.integration.sagas.trouble import Interference


@pytest.fixture
def logged() -> tuple[Run, list[str]]:
    """A run with the log lines of its handlers. The cloud is this test's own: it takes over the standard output."""
    lines: list[LogLine] = []
    with LocalSession(on_log=lines.append) as session:
        run = System(session, Interference()).trip()
    return run, [line.text for line in lines]


def test_log_lines_carry_who_what_and_which_attempt_and_no_personal_data(logged: tuple[Run, list[str]]) -> None:
    run, texts = logged
    records = [json.loads(text) for text in texts if text.startswith("{")]
    booked = [r for r in records if r.get("tool") == "book_flight" and r.get("message") == "succeeded"]

    assert len(booked) == 1
    assert {name: booked[0][name] for name in ("tenant", "workflow_id", "step_id", "attempt", "trace_id")} == {
        "tenant": "acme",
        "workflow_id": run.ref.workflow_id,
        "step_id": "s3",
        "attempt": 1,
        "trace_id": run.head.correlation_id,
    }
    # The customer's address is in the input of the last step, and in no line.
    assert not [text for text in texts if "ana@example.com" in text]
