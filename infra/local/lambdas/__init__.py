"""Running Lambda functions on one machine.

Two ways to run the same handlers: ``threads`` in this process, quick, with a context and a deadline but without a kill;
``processes`` under AWS's own runtime client, slower, isolated, and really killed on a timeout.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

AroundInvoke = Callable[[str, dict[str, Any], Callable[[dict[str, Any]], Any]], Any]
"""Wraps every invocation: ``around(function_name, event, proceed)`` returns or raises what the caller shall see."""


class SandboxTimedOut(BaseException):
    """Raised by an ``AroundInvoke``: the caller shall see a timeout now, without waiting for the real one.

    Not an ``Exception``, so that no handler between here and there takes it for an error of its own.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """One deployed function; ``timeout`` in seconds, ``memory`` in MiB. Each state of its configuration is another one.

    ``bundle`` is the folder that Lambda would unpack to the task root, ``layers`` the folders that would lie in /opt.
    """

    name: str
    arn: str
    handler: str
    timeout: float
    memory: int = 128
    version: str = "$LATEST"
    environment: Mapping[str, str] = field(default_factory=dict)
    bundle: Path | None = None
    layers: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller of a function gets: JSON text, and whether it is a result or an error document."""

    payload: str
    failed: bool = False
    log: str = ""


class Invoker(Protocol):
    """Runs functions; both isolation modes are one."""

    def invoke(self, function: Function, payload: str) -> Answer:
        """Run ``function`` with the JSON text ``payload`` and wait for its answer, at most for its timeout."""

    def close(self) -> None:
        """Stop what runs; nothing that was started may touch the cloud afterwards."""
