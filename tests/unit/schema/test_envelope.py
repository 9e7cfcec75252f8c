"""The envelope as apps in other languages see it: JSON in, the same JSON out, all faults told at once."""

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apex.errors import InvalidInput, SchemaInvalid
from apex.schema.envelope import EventEnvelope, format_moment, parse_moment, validate_envelope
from apex.schema.event_types import LISTED_EVENT_TYPES, PARTICIPANTS

DOCUMENT: dict[str, Any] = {
    "eventId": "6f6e7a0c-6c0e-5d3b-9a53-0a9e5d6c7e10",
    "correlationId": "corr-1",
    "idempotencyKey": "tenant-1-omnilink:system.started-1735689600000-abc123",
    "tenantId": "tenant-1",
    "eventType": "omnilink:system.started",
    "payload": {"goal": "book", "user_name": "Ada", "nested": [{"keyOne": 1, "key_two": 2.0}]},
    "timestamp": "2025-01-01T00:00:00.000Z",
    "source": "omnilink",
    "trace": {"traceId": "t1", "spanId": "s1"},
    "schemaVersion": "1.0.0",
}
FULL: dict[str, Any] = {
    **DOCUMENT,
    "target": ["omnihub", "flowc"],
    "trace": {
        "traceId": "t1",
        "spanId": "s1",
        "parentSpanId": "s0",
        "baggage": {"user_tier": "gold", "userTier": "x"},
    },
    "chaos": {
        "isDuplicate": False,
        "injectedDelayMs": 12.5,
        "outOfOrder": True,
        "simulatedFailure": "network",
        "retryAttempt": 0,
    },
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = texts.filter(lambda text: text.strip() != "")
payloads = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
moments = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=14))])
).map(datetime.isoformat)
apps = st.sampled_from(PARTICIPANTS)
documents = st.fixed_dictionaries(
    {
        "eventId": st.uuids().map(str),
        "correlationId": texts,
        "idempotencyKey": st.text(st.characters(exclude_categories=["Cs"]), min_size=10, max_size=20),
        "tenantId": names,
        "eventType": st.sampled_from(sorted(LISTED_EVENT_TYPES)),
        "payload": payloads,
        "timestamp": moments,
        "source": apps,
        "trace": st.fixed_dictionaries(
            {"traceId": texts, "spanId": texts},
            optional={"parentSpanId": texts, "baggage": st.dictionaries(texts, texts, max_size=3)},
        ),
        "schemaVersion": st.just("1.0.0"),
    },
    optional={
        "target": apps | st.lists(apps, max_size=3),
        "chaos": st.fixed_dictionaries(
            {},
            optional={
                "isDuplicate": st.booleans(),
                "injectedDelayMs": st.integers(0, 10**6) | st.floats(0, 10**6),
                "outOfOrder": st.booleans(),
                "simulatedFailure": st.sampled_from(["timeout", "network", "server", "validation"]),
                "retryAttempt": st.integers(0, 9),
            },
        ),
    },
)


def problems(**changes: Any) -> list[str]:
    with pytest.raises(SchemaInvalid) as caught:
        validate_envelope({**DOCUMENT, **changes})
    return caught.value.problems


@given(documents)
def test_a_round_trip_gives_the_very_same_json(document: dict[str, Any]) -> None:
    envelope = validate_envelope(document)
    assert json.dumps(envelope.to_wire(), sort_keys=True) == json.dumps(document, sort_keys=True)
    assert EventEnvelope.model_validate_json(envelope.model_dump_json()) == envelope


def test_a_full_envelope_keeps_every_field_and_the_order_of_the_contract() -> None:
    order = [
        "eventId",
        "correlationId",
        "idempotencyKey",
        "tenantId",
        "eventType",
        "payload",
        "timestamp",
        "source",
        "target",
        "trace",
        "chaos",
        "schemaVersion",
    ]
    document = validate_envelope(FULL).to_wire()
    assert document == FULL
    assert list(document) == order


def test_absent_optional_fields_stay_absent() -> None:
    envelope = validate_envelope(DOCUMENT)
    assert envelope.target is None
    assert envelope.chaos is None
    assert envelope.to_wire() == DOCUMENT


def test_snake_case_is_read_and_camel_case_written() -> None:
    snake = {
        "event_id": DOCUMENT["eventId"],
        "correlation_id": DOCUMENT["correlationId"],
        "idempotency_key": DOCUMENT["idempotencyKey"],
        "tenant_id": DOCUMENT["tenantId"],
        "event_type": DOCUMENT["eventType"],
        "payload": DOCUMENT["payload"],
        "timestamp": DOCUMENT["timestamp"],
        "source": DOCUMENT["source"],
        "trace": {"trace_id": "t1", "span_id": "s1"},
        "schema_version": "1.0.0",
    }
    assert validate_envelope(snake).to_wire() == DOCUMENT


REQUIRED = sorted(DOCUMENT)


@pytest.mark.parametrize("field", REQUIRED)
def test_every_required_field_is_required(field: str) -> None:
    with pytest.raises(SchemaInvalid) as caught:
        validate_envelope({key: value for key, value in DOCUMENT.items() if key != field})
    assert caught.value.problems == [f"{field}: Field required"]


@pytest.mark.parametrize("field", REQUIRED)
def test_null_is_no_value_for_a_required_field(field: str) -> None:
    assert [problem.split(":")[0] for problem in problems(**{field: None})] == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eventId", "not-a-uuid"),
        ("eventId", "6f6e7a0c6c0e5d3b9a530a9e5d6c7e10"),
        ("eventId", 7),
        ("correlationId", 7),
        ("idempotencyKey", "too-short"),
        ("tenantId", ""),
        ("tenantId", "   "),
        ("eventType", "omnilink.system.started"),
        ("payload", []),
        ("payload", "text"),
        ("payload", {"amount": float("nan")}),
        ("timestamp", 1735689600),
        ("source", "orc"),
        ("source", "Omnilink"),
        ("target", "nobody"),
        ("target", ["omnihub", "nobody"]),
        ("target", [7]),
        ("target", {"app": "omnihub"}),
        ("trace", "t1"),
        ("trace", {"traceId": "t1"}),
        ("trace", {"traceId": "t1", "spanId": "s1", "baggage": {"n": 1}}),
        ("trace", {"traceId": "t1", "spanId": "s1", "flags": 1}),
        ("chaos", {"isDuplicate": "yes"}),
        ("chaos", {"isDuplicate": 1}),
        ("chaos", {"injectedDelayMs": -1}),
        ("chaos", {"injectedDelayMs": True}),
        ("chaos", {"injectedDelayMs": float("inf")}),
        ("chaos", {"simulatedFailure": "fire"}),
        ("chaos", {"retryAttempt": 1.5}),
        ("chaos", {"retryAttempt": -1}),
        ("chaos", {"mood": "bad"}),
        ("schemaVersion", "1.0.1"),
        ("schemaVersion", 1),
    ],
)
def test_what_the_contract_does_not_allow_is_refused_once_and_by_name(field: str, value: Any) -> None:
    found = problems(**{field: value})
    assert len(found) == 1
    assert found[0].split(":")[0].split(".")[0] == field


def test_everything_wrong_is_told_at_once() -> None:
    broken = {
        "eventId": "x",
        "tenantId": "",
        "source": "nobody",
        "target": 7,
        "trace": {"spanId": 1},
        "extra": 1,
    }
    with pytest.raises(SchemaInvalid) as caught:
        validate_envelope(broken)
    assert {problem.split(":")[0] for problem in caught.value.problems} == {
        "eventId",
        "correlationId",
        "idempotencyKey",
        "tenantId",
        "eventType",
        "payload",
        "timestamp",
        "source",
        "target",
        "trace.traceId",
        "trace.spanId",
        "schemaVersion",
        "extra",
    }
    assert all(problem in str(caught.value) for problem in caught.value.problems)


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_something_that_is_no_object_is_refused_like_any_wrong_document(data: object) -> None:
    with pytest.raises(InvalidInput, match="must be a JSON object"):
        validate_envelope(data)


def test_a_well_formed_type_that_nobody_listed_passes() -> None:
    assert validate_envelope({**DOCUMENT, "eventType": "newapp:thing.happened"}).to_wire()["eventType"] == (
        "newapp:thing.happened"
    )


@pytest.mark.parametrize("target", ["omnihub", ["omnihub"], []])
def test_one_target_and_a_list_of_targets_are_told_apart(target: Any) -> None:
    assert validate_envelope({**DOCUMENT, "target": target}).to_wire()["target"] == target


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-01-01T00:00:00Z", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T00:00Z", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T05:30:00.5+05:30", datetime(2025, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2024-12-31T19:00:00.123456789-05:00", datetime(2025, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_timestamps_keep_their_text_and_name_an_instant(text: str, instant: datetime) -> None:
    envelope = validate_envelope({**DOCUMENT, "timestamp": text})
    assert envelope.to_wire()["timestamp"] == text
    assert envelope.occurred_at == instant


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-01",
        "2025-01-01T00:00:00",
        "2025-01-01T00:00:00.5",
        "2025-02-30T00:00:00Z",
        "2025-01-01T24:00:00Z",
        "2025-01-01T00:00:60Z",
        "2025-01-01T00:00:00+24:00",
        "2025-01-01T00:00:00+0100",
        "2025-01-01 00:00:00Z",
        "2025-01-01T00:00:00Z\n",
        "20250101T000000Z",
        "2025-W01-1T00:00:00Z",
        "٢٠٢٥-01-01T00:00:00Z",
        "now",
        "",
    ],
)
def test_dates_naive_times_and_nonsense_are_refused(text: str) -> None:
    (problem,) = problems(timestamp=text)
    assert problem.startswith("timestamp: must")


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_survives_the_envelope_to_the_millisecond(moment: datetime) -> None:
    again = parse_moment(format_moment(moment))
    assert again == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def test_a_moment_without_offset_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="offset"):
        format_moment(datetime(2025, 1, 1))  # noqa: DTZ001 - the fault under test


def test_an_envelope_cannot_be_changed_from_any_side() -> None:
    source = copy.deepcopy(FULL)
    envelope = validate_envelope(source)
    source["payload"]["nested"].append(1)
    source["trace"]["baggage"]["user_tier"] = "none"
    with pytest.raises(ValidationError, match="frozen"):
        envelope.tenant_id = "other"  # type: ignore[misc]
    payload: Any = envelope.payload
    with pytest.raises(TypeError, match="frozen"):
        payload["nested"][0]["keyOne"] = 2
    baggage: Any = envelope.trace.baggage
    with pytest.raises(TypeError, match="frozen"):
        baggage["more"] = "x"
    envelope.to_wire()["payload"]["nested"].clear()
    assert envelope.to_wire() == FULL


def test_equal_envelopes_are_one_member_of_a_set() -> None:
    assert len({validate_envelope(FULL), validate_envelope(copy.deepcopy(FULL))}) == 1


def test_the_json_schema_lists_the_wire_names() -> None:
    schema = EventEnvelope.model_json_schema()
    assert set(schema["properties"]) == set(FULL)
    assert sorted(schema["required"]) == REQUIRED
