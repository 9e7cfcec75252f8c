"""Two ways to give commands: to a process of its own, and in this process to a system that stays up for the module."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apex import faults
from infra.cli import sessions
from infra.cli.main import main
from infra.cli.witness import Witness
from infra.local.lambdas.logs import routed
from infra.local.session import LocalSession

TRIP = "Book a flight to {city} tomorrow, reserve a hotel near the Colosseum and charge {amount} to my card"
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Done:
    """A command after its end."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What ``--json`` printed: all of standard output must be one document."""
        return json.loads(self.out)


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "infra.cli.main", *map(str, words)]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("APEX_DATA", "COLUMNS")}
    return {**kept, **variables}


def apex(*words: str | Path, stdin: str | None = None, **variables: str) -> Done:
    """Give a command to a process of its own and wait for its end."""
    done = subprocess.run(
        command(*words),
        input=stdin,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Caller:
    """Gives commands in this process that need no running system."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str | Path) -> Done:
        self.capsys.readouterr()
        code = main([str(word) for word in words])
        captured = self.capsys.readouterr()
        return Done(code, captured.out, captured.err)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Caller:
    monkeypatch.delenv("APEX_DATA", raising=False)
    return Caller(capsys)


@pytest.fixture(scope="module")
def running() -> Iterator[LocalSession]:
    """A system that stays up for the module; pauses between attempts are short."""
    with LocalSession(time_scale=0.05) as session:
        yield session


@dataclass(frozen=True)
class Shell:
    """Gives commands in this process."""

    session: LocalSession
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str | Path) -> Done:
        self.capsys.readouterr()
        with routed():
            code = main([str(word) for word in words])
            # Deliveries still under way would print into the next command's output.
            assert self.session.cloud.drain()
        captured = self.capsys.readouterr()
        return Done(code, captured.out, captured.err)

    @property
    def witness(self) -> Witness:
        """The providers themselves."""
        return Witness(self.session.providers.urls)


@pytest.fixture
def shell(running: LocalSession, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Commands that find the system running already, with empty books at the providers."""

    @contextmanager
    def open_session(*_: Any, injector: faults.Injector | None = None, **__: Any) -> Iterator[LocalSession]:
        with nullcontext() if injector is None else faults.injected(injector):
            yield running

    monkeypatch.setattr(sessions, "open_session", open_session)
    monkeypatch.delenv("APEX_DATA", raising=False)
    shell = Shell(running, capsys)
    for provider in running.providers.urls:
        shell.witness.reset(provider)
    return shell


def step(step_id: str, tool: str, *depends_on: str, **given: Any) -> dict[str, Any]:
    return {"id": step_id, "tool": tool, "input": given, "depends_on": list(depends_on)}


def note(step_id: str, *depends_on: str, text: str = "x") -> dict[str, Any]:
    return step(step_id, "create_record", *depends_on, collection="notes", data={"text": text})


def plan_file(folder: Path, *steps: dict[str, Any]) -> Path:
    file = folder / "plan.json"
    file.write_text(json.dumps({"steps": list(steps)}))
    return file
