"""The small house that the tests of the local cloud run: two functions and one state machine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import functions
from infra.cloud.settings import Settings
from infra.local.cloud import LocalCloud

FIXTURE_HOUSE = Path(__file__).parent / "fixture_house"


@pytest.fixture(scope="session")
def small_house() -> Iterator[Settings]:
    """The fixture house; its handlers can be imported beside the real ones."""
    folder = str(FIXTURE_HOUSE / "functions")
    functions.__path__.append(folder)
    yield Settings(root=FIXTURE_HOUSE)
    functions.__path__.remove(folder)


@pytest.fixture
def start_cloud(small_house: Settings) -> Iterator[Callable[..., LocalCloud]]:
    """Starts local clouds of the small house; what a test leaves running is stopped."""
    started: list[LocalCloud] = []

    def start(**options: Any) -> LocalCloud:
        cloud = LocalCloud(settings=small_house, **options)
        started.append(cloud)
        return cloud.start()

    yield start
    for cloud in started:
        cloud.stop()
