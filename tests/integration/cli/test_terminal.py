"""What a person sees in a terminal: a timeline that moves, and nothing that handlers print."""

import os
import pty
import re
import subprocess

from tests.integration.cli.conftest import TRIP, command, environment

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_a_terminal(*words: str) -> tuple[int, str]:
    """Exit code and everything that appeared, control sequences included."""
    outer, inner = pty.openpty()
    variables = environment(COLUMNS="140", LINES="50", TERM="xterm-256color")
    with subprocess.Popen(command(*words), stdin=inner, stdout=inner, stderr=inner, env=variables) as process:
        os.close(inner)
        seen = bytearray()
        try:
            while part := os.read(outer, 65536):
                seen += part
        except OSError:
            pass  # how a terminal says that the last program has left it
        finally:
            os.close(outer)
    return process.returncode, seen.decode()


def test_the_timeline_moves_and_no_log_line_gets_between() -> None:
    code, seen = in_a_terminal("run", TRIP.format(city="Rome", amount="$9,000"))

    assert code == 1
    assert "\x1b[2K" in seen  # lines were drawn, and drawn again
    assert "starting the local cloud" in seen
    plain = _CONTROL.sub("", seen)
    assert '"level"' not in plain
    assert '"_aws"' not in plain
    assert "cancel_hotel" in plain
    assert plain.rstrip().splitlines()[-2].startswith("FAILED: nothing of it remains outside")
