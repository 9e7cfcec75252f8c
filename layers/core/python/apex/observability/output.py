"""Where log lines and metric documents go: standard output, as Lambda wants it, or where the process says."""

import sys
import threading
from typing import TextIO

_lock = threading.Lock()
_stream: TextIO | None = None


def redirect_output(stream: TextIO | None) -> TextIO | None:
    """Sends all lines of this process to ``stream``; None means standard output. Returns what held before.

    The command line needs standard output for its own answer, so the local cloud sends the lines elsewhere.
    """
    global _stream
    with _lock:
        previous, _stream = _stream, stream
    return previous


def write_line(line: str) -> None:
    """Writes one line in one piece; lines of concurrent threads do not mix.

    A line that cannot be written is lost: an effect in the outside world must not fail because a pipe was
    closed.
    """
    with _lock:
        # Looked up at every line and not kept: the Lambda runtime and test runners replace sys.stdout.
        stream = _stream or sys.stdout
        try:
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError):
            return
