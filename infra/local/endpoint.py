"""The cloud's APIs on a loopback port, for handlers in processes of their own."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from moto.moto_server.threaded_moto_server import ThreadedMotoServer


@contextmanager
def endpoint() -> Iterator[str]:
    """Serve moto's state of this process over HTTP; gives the URL."""
    log = logging.getLogger("werkzeug")
    level = log.level
    # A line per request would bury everything else.
    log.setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        log.setLevel(level)
