"""What goes in and out of a provider, apart from HTTP itself: requests, answers, refusals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One call.

    ``path`` is split and unquoted, ``params`` are its named parts once a route is found, ``key`` is the
    header Idempotency-Key where there is one.
    """

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json = field(default_factory=dict)
    key: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A status and the JSON object that goes with it."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The provider says no; nothing was applied. Becomes the JSON answer ``{code, message, ...}``."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.answer = Answer(status, {"code": code, "message": message, **more})


class HangUp(Exception):
    """Close the connection without a word: the caller is not told what became of its request."""
