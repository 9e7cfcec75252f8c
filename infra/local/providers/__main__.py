"""The process that hosts the three providers; prints one line of JSON with their URLs once they answer.

python -m infra.local.providers --dir DIR|:memory: [--ports F,H,P] [--key-window SECONDS]
                                [--until-stdin-closes]
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from infra.local.providers.flights import Flights
from infra.local.providers.hotels import Hotels
from infra.local.providers.payments import Payments
from infra.local.providers.provider import DEFAULT_KEY_WINDOW_SECONDS, Provider
from infra.local.providers.server import ProviderServer
from infra.local.providers.store import Store

PROVIDERS: tuple[type[Provider], ...] = (Flights, Hotels, Payments)


def serve(kind: type[Provider], directory: Path | None, port: int, key_window_seconds: float) -> str:
    """Has one provider answer, on threads that end with the process, at the URL that is returned."""
    store = Store(None if directory is None else directory / f"{kind.name}.sqlite")
    server = ProviderServer(kind(store, key_window_seconds=key_window_seconds), port)
    threading.Thread(target=server.serve_forever, name=kind.name, daemon=True).start()
    return server.url


def watch_for_the_end(leashed: bool) -> threading.Event:
    """An event that is set on SIGTERM or SIGINT; leashed, on SIGTERM or when standard input closes."""
    over = threading.Event()

    def watch_stdin() -> None:
        # Not sys.stdin: a thread inside its buffer would hold a lock the interpreter wants at its end.
        while os.read(0, 4096):
            pass
        over.set()

    signal.signal(signal.SIGTERM, lambda *_: over.set())
    if leashed:
        # Ctrl-C reaches the whole process group, while the holder of the leash may still have things to undo.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=watch_stdin, name="leash", daemon=True).start()
    else:
        signal.signal(signal.SIGINT, lambda *_: over.set())
    return over


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs until a signal, or until stdin closes where that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.providers", description=__doc__)
    parser.add_argument("--dir", default=":memory:", help="directory of the databases, or :memory:")
    parser.add_argument("--ports", default="0,0,0", help="ports of flights, hotels, payments; 0 takes a free one")
    parser.add_argument("--key-window", type=float, default=DEFAULT_KEY_WINDOW_SECONDS, metavar="SECONDS")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the process that holds the other end"
    )
    given = parser.parse_args(arguments)
    ports = [int(port) for port in given.ports.split(",")]
    directory = None if given.dir == ":memory:" else Path(given.dir)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)

    # First of all, so that no signal finds the process half started.
    over = watch_for_the_end(leashed=given.until_stdin_closes)
    urls = {
        kind.name: serve(kind, directory, port, given.key_window) for kind, port in zip(PROVIDERS, ports, strict=True)
    }
    sys.stdout.write(json.dumps(urls) + "\n")
    sys.stdout.flush()
    # Nothing to close afterwards: every answer given is on disk already, which is what makes kill -9 harmless too.
    over.wait()


if __name__ == "__main__":
    main()
