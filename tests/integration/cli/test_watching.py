"""What `apex up` shows: every event of every workflow, as it happens."""

import signal
import subprocess
import time

import pytest
from rich.console import Console

from apex.app.submit import Goal
from infra.cli.commands import up
from infra.cli.watching import watched
from infra.local.lambdas.logs import routed
from tests.integration.cli.conftest import PATIENCE_SECONDS, Shell, command, environment


def test_events_of_all_tenants_are_seen_in_the_order_in_which_they_were_written(shell: Shell) -> None:
    with watched(shell.session) as watch:
        refs = []
        for tenant in ("acme", "glo#bex"):
            head = shell.session.submit(Goal(tenant, "ana", "Say “hello”", f"watch-{tenant}")).head
            refs.append(shell.session.wait(head.ref).ref)
        seen = []
        while (event := watch.next(0.2)) is not None:
            seen.append(event)

    for ref in refs:
        mine = [event for event in seen if event.workflow_id == ref.workflow_id]
        assert mine == list(shell.session.house.store.events(ref))
        assert len(mine) > 2


def test_nothing_is_followed_once_nobody_watches(shell: Shell) -> None:
    with watched(shell.session) as watch:
        pass
    shell.session.wait(shell.session.submit(Goal("acme", "ana", "Say “bye”", "unwatched")).head.ref)
    assert watch.next(0.05) is None


def test_each_event_is_one_line(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    class Enough(Exception):
        pass

    with routed(), watched(shell.session) as watch:
        head = shell.session.wait(shell.session.submit(Goal("acme", "ana", "Say “hi”", "one-line")).head.ref)
        shell.session.cloud.drain()
        numbers = iter(range(head.seq))

        class Ending:
            def next(self, timeout: float) -> object:
                if next(numbers, None) is None:
                    raise Enough
                return watch.next(timeout)

        with pytest.raises(Enough):
            up.follow(Ending(), Console(width=200))
    lines = capsys.readouterr().out.strip().splitlines()

    assert len(lines) == head.seq
    assert "GoalReceived" in lines[0]
    assert all(head.workflow_id[:8] in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_until_it_is_told_to_stop_and_ends_cleanly(number: signal.Signals) -> None:
    words = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command("up")]  # as a shell starts it in the background
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        told = ""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while "HTTP API comes later" not in told and time.monotonic() < give_up and process.poll() is None:
            told += process.stdout.readline()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 0
    for expected in (
        "apex-dev-journal",
        "apex-dev-agent-workflow",
        "apex-dev-tool-book_flight",
        "payments http://127.0.0.1:",
    ):
        assert expected in told
    assert errors.strip() in ("Stopping.", "")  # told before it had begun to wait, it has nothing to say
    assert rest == ""
