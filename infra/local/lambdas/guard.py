"""Keeps what outlives the local cloud from reaching anything: the next cloud, or AWS itself.

moto answers boto3 clients inside the process while it is active. A thread that a stopped cloud left behind, a zombie,
would otherwise send its next request to the cloud started after it, or over the network with placeholder credentials.
"""

import threading
from typing import Any

from botocore.handlers import BUILTIN_HANDLERS
from moto.core.models import botocore_stubber

from apex.errors import LocalCloudError

# Access keys that moto and the local cloud sign with; no real key looks like them.
_PLACEHOLDERS = ("FOOBARKEY", "ak", "local")


def _refuse_revoked(**_: Any) -> None:
    """Before every API call of every client."""
    if getattr(threading.current_thread(), "revoked", False):
        raise LocalCloudError("the local cloud that this invocation belonged to has been stopped")


def _refuse_placeholder(request: Any, **_: Any) -> None:
    """Before every request that is about to be sent."""
    if botocore_stubber.enabled or ".amazonaws.com" not in request.url:
        return
    header = request.headers.get("Authorization", "")
    text = header.decode() if isinstance(header, bytes) else str(header)
    if any(f"Credential={key}/" in text for key in _PLACEHOLDERS):
        raise LocalCloudError("the local cloud has been stopped; this client belonged to it")


_HANDLERS = (("before-parameter-build", _refuse_revoked), ("before-send", _refuse_placeholder))


def install() -> None:
    """Have every client made from now on refuse such requests; stays for the life of the process."""
    for handler in _HANDLERS:
        if handler not in BUILTIN_HANDLERS:
            BUILTIN_HANDLERS.append(handler)
