"""Idempotency keys agree with those that the apps compute."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex.errors import InvalidInput
from apex.schema.keys import deterministic_key, idempotency_key

NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
STARTED = "omnilink:system.started"


def test_the_reference_key() -> None:
    key = idempotency_key("tenant-1", STARTED, NEW_YEAR, "abc123")
    assert key == "tenant-1-omnilink:system.started-1735689600000-abc123"


@pytest.mark.parametrize(
    ("seed", "sequence", "nonce"),
    [
        (42, 1, "107"),
        (0, 0, "0"),
        (0, 35, "z"),
        (0, 36, "10"),
        (0, 999_999, "lflr"),
        (0, 1_000_000, "0"),
        (32_258, 3, "1"),
    ],
)
def test_the_deterministic_nonce_is_base_36(seed: int, sequence: int, nonce: str) -> None:
    key = deterministic_key("tenant-1", STARTED, NEW_YEAR, seed=seed, sequence=sequence)
    assert key == f"tenant-1-omnilink:system.started-1735689600000-{nonce}"


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_the_deterministic_nonce_can_be_read_back(seed: int, sequence: int) -> None:
    key = deterministic_key("t", STARTED, NEW_YEAR, seed=seed, sequence=sequence)
    assert int(key.rsplit("-", 1)[1], 36) == (seed * 31 + sequence) % 1_000_000


@given(st.integers(0, 250_000_000_000_000))
def test_milliseconds_are_exact(milliseconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds, microseconds=999)
    assert idempotency_key("t", STARTED, moment, "n") == f"t-{STARTED}-{milliseconds}-n"


def test_the_offset_of_a_time_does_not_matter_but_must_be_there() -> None:
    elsewhere = NEW_YEAR.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert idempotency_key("t", STARTED, elsewhere, "n") == idempotency_key("t", STARTED, NEW_YEAR, "n")
    with pytest.raises(InvalidInput, match="offset"):
        idempotency_key("t", STARTED, NEW_YEAR.replace(tzinfo=None), "n")


@pytest.mark.parametrize(
    ("tenant", "event_type", "moment", "nonce"),
    [
        ("", STARTED, NEW_YEAR, "n"),
        ("t", STARTED, NEW_YEAR, ""),
        ("t", STARTED, NEW_YEAR, " "),
        ("t", "started", NEW_YEAR, "n"),
        ("t", STARTED, datetime(1969, 12, 31, tzinfo=UTC), "n"),
    ],
)
def test_keys_that_would_not_tell_events_apart_are_refused(
    tenant: str, event_type: str, moment: datetime, nonce: str
) -> None:
    with pytest.raises(InvalidInput):
        idempotency_key(tenant, event_type, moment, nonce)


@pytest.mark.parametrize(("seed", "sequence"), [(-1, 0), (0, -1)])
def test_negative_seeds_are_refused_because_other_languages_disagree_on_their_remainder(
    seed: int, sequence: int
) -> None:
    with pytest.raises(InvalidInput, match="negative"):
        deterministic_key("t", STARTED, NEW_YEAR, seed=seed, sequence=sequence)
