"""The catalogue of apps and event types, and what counts as well formed."""

import pytest

from apex.schema.event_types import (
    APP_EVENTS,
    APPS,
    LISTED_EVENT_TYPES,
    ORCHESTRATOR,
    PARTICIPANTS,
    is_listed,
    is_well_formed,
)
from apex.schema.events import ENVELOPE_TYPES


def test_there_are_twelve_apps_and_the_orchestrator_is_none_of_them() -> None:
    assert len(set(APPS)) == 12
    assert ORCHESTRATOR not in APPS
    assert set(PARTICIPANTS) == {*APPS, ORCHESTRATOR}


def test_the_catalogue_is_complete_and_well_formed() -> None:
    counts = {app: len(names) for app, names in APP_EVENTS.items()}
    assert counts == {
        "omnilink": 6,
        "omnihub": 4,
        "tradeline247": 6,
        "autorepai": 5,
        "flowbills": 6,
        "flowc": 4,
        "aspiral": 3,
        "jubeelove": 4,
        "trutalk": 3,
        "keepsafe": 4,
        "bright": 3,
        "careconnect": 3,
    }
    assert all(is_well_formed(event_type) for event_type in LISTED_EVENT_TYPES)


def test_every_event_the_orchestrator_publishes_is_listed_under_its_own_name() -> None:
    for event_type in ENVELOPE_TYPES.values():
        assert is_listed(event_type)
        assert event_type.startswith(f"{ORCHESTRATOR}:")


@pytest.mark.parametrize("event_type", ["flowbills:refund.issued", "newapp:thing.done_twice", "a:b-c.d9"])
def test_an_unlisted_type_may_still_be_well_formed(event_type: str) -> None:
    assert is_well_formed(event_type)
    assert not is_listed(event_type)


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        "omnilink",
        "omnilink:system",
        "system.started",
        ":system.started",
        "omnilink:.started",
        "omnilink:system.",
        "omnilink:system.started.twice",
        "omnilink::system.started",
        "Omnilink:system.started",
        "omnilink: system.started",
        "omnilink:system.started\n",
        "omnilink:system._started",
        "omnilink:system.stärted",
        "omnilink:system.9started",
    ],
)
def test_malformed_types_are_refused(event_type: str) -> None:
    assert not is_well_formed(event_type)
