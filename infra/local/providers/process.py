"""The handle on the process that hosts the providers: start, stop, kill, start again."""

import json
import subprocess  # nosec B404
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from apex.errors import LocalCloudError

START_SECONDS = 15.0
STOP_SECONDS = 3.0


class Providers:
    """Flights, hotels and payments in a process of their own, which ends with this one however this one ends.

    ``urls`` maps the names to base URLs. Use as a context manager, or call ``stop``.
    """

    def __init__(self, data_dir: Path | None = None, *, key_window_seconds: float | None = None) -> None:
        self.urls: dict[str, str] = {}
        self._data_dir = data_dir
        self._key_window_seconds = key_window_seconds
        self._process: subprocess.Popen[str] | None = None

    @classmethod
    def start(cls, data_dir: Path | None = None, *, key_window_seconds: float | None = None) -> Self:
        """Starts the process and returns once the three answer.

        ``data_dir`` keeps one SQLite file per provider, None keeps all in memory. ``key_window_seconds`` is
        how long idempotency keys are remembered, 24 hours by default. Raises ``LocalCloudError`` when they do
        not come up.
        """
        providers = cls(data_dir, key_window_seconds=key_window_seconds)
        providers._launch()
        return providers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def stop(self) -> None:
        """Ends the process in good order; harmless when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        # Its standard input is the leash: closed, it ends by itself.
        with process:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def kill(self) -> None:
        """Ends the process at once (SIGKILL), as a crash would."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def restart(self) -> None:
        """Starts the process again after ``kill`` or ``stop``, with the same data at the same URLs."""
        self.stop()
        self._launch()

    def _launch(self) -> None:
        ports = ",".join(str(urlsplit(url).port) for url in self.urls.values()) or "0,0,0"
        command = [sys.executable, "-m", "infra.local.providers", "--until-stdin-closes", "--ports", ports]
        command += ["--dir", ":memory:" if self._data_dir is None else str(self._data_dir)]
        if self._key_window_seconds is not None:
            command += ["--key-window", str(self._key_window_seconds)]
        # The command is this interpreter with our own module; nothing in it comes from outside.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 # nosec B603
        line = self._first_line(self._process)
        if not line:
            self.kill()
            raise LocalCloudError("flights, hotels and payments did not start; what they printed says why")
        self.urls = json.loads(line)

    @staticmethod
    def _first_line(process: subprocess.Popen[str]) -> str:
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        try:
            return process.stdout.readline() if process.stdout is not None else ""
        finally:
            watchdog.cancel()
