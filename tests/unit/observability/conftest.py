"""Catches the lines that the code under test writes."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apex.observability import redirect_output


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The stream that log lines and metric documents go to during a test."""
    stream = io.StringIO()
    previous = redirect_output(stream)
    yield stream
    redirect_output(previous)


@pytest.fixture
def lines(stream: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """All log lines so far."""
    return lambda: [line for line in _documents(stream) if "_aws" not in line]


@pytest.fixture
def documents(stream: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """All metric documents so far."""
    return lambda: [line for line in _documents(stream) if "_aws" in line]


def _documents(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]
