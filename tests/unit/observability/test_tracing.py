"""Spans reach a real X-Ray daemon's port where there is one, and cost nothing where there is none."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apex.observability import current_trace_id, span, trace_id_of, tracing_is_active

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        (HEADER, "1-5759e988-bd862e3fe1be46a994272793"),
        ("Sampled=0; Root=1-a-b", "1-a-b"),
        ("Self=1-x-y;Parent=53995c3f42cd8ad8", None),
        ("Root=", None),
        ("nonsense", None),
        ("", None),
        (None, None),
    ],
)
def test_the_trace_id_of_a_header(header: str | None, trace_id: str | None) -> None:
    assert trace_id_of(header) == trace_id


def test_the_current_trace_is_the_one_lambda_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    assert current_trace_id() is None
    monkeypatch.setenv("_X_AMZN_TRACE_ID", HEADER)
    assert current_trace_id() == "1-5759e988-bd862e3fe1be46a994272793"


def test_tracing_is_active_only_with_a_daemon_and_unless_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_XRAY_DAEMON_ADDRESS", raising=False)
    monkeypatch.delenv("POWERTOOLS_TRACE_DISABLED", raising=False)
    assert not tracing_is_active()
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000")
    assert tracing_is_active()
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    assert not tracing_is_active()


def test_without_a_daemon_a_span_is_only_its_block() -> None:
    error = ValueError("unchanged")
    with pytest.raises(ValueError, match="unchanged") as caught, span("work"):
        raise error
    assert caught.value is error


def run_python(code: str, **variables: str) -> str:
    """Runs code in a fresh interpreter: what is imported and what is active is decided once in a process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "_X_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_importing_and_using_it_outside_lambda_loads_neither_the_xray_sdk_nor_boto3() -> None:
    loaded = run_python(
        "import sys\n"
        "from apex.observability import handler, logger_for, span\n"
        "handler(service='find-plan')(lambda event, context: None)({'tenant': 'acme'}, None)\n"
        "print([name for name in ('aws_xray_sdk', 'boto3', 'requests', 'pydantic') if name in sys.modules])"
    )
    assert loaded.splitlines()[-1] == "[]"


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """What an X-Ray daemon is to its clients: a UDP port on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        port.settimeout(10)
        yield port


TRACED = """
from apex.errors import StepRejected
from apex.observability import handler, span

@handler(service="find-plan")
def fine(event, context):
    with span("look up"):
        return None

@handler(service="charge")
def failing(event, context):
    raise StepRejected("declined for ada@example.com")

event = {"tenant": "acme", "workflow_id": "w-1", "step_id": "s1"}
fine(event, None)
try:
    failing(event, None)
except StepRejected as error:
    assert error.message == "declined for ada@example.com"
else:
    raise SystemExit("the error was swallowed")
"""


def test_on_lambda_spans_reach_the_daemon_with_the_fields_and_without_messages(
    daemon: socket.socket, tmp_path: Path
) -> None:
    run_python(
        TRACED,
        AWS_XRAY_DAEMON_ADDRESS=f"127.0.0.1:{daemon.getsockname()[1]}",
        LAMBDA_TASK_ROOT=str(tmp_path),
        _X_AMZN_TRACE_ID=HEADER,
    )
    received: dict[str, dict[str, Any]] = {}
    raw = b""
    for _ in range(3):
        datagram = daemon.recv(65_536)
        raw += datagram
        segment = json.loads(datagram.split(b"\n", 1)[1])
        received[segment["name"]] = segment
    assert set(received) == {"look up", "## find-plan", "## charge"}
    for segment in received.values():
        assert segment["trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
        assert segment["annotations"].items() >= {"tenant": "acme", "workflow_id": "w-1", "step_id": "s1"}.items()
    assert received["look up"]["parent_id"] == received["## find-plan"]["id"]
    assert received["## charge"]["fault"] is True
    assert received["## charge"]["annotations"]["error"] == "APX-4003"
    assert "fault" not in received["## find-plan"]
    assert b"ada@example.com" not in raw
