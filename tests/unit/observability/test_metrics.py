"""Metric documents: valid for CloudWatch, one tenant each, and cheap in dimensions."""

from collections.abc import Callable
from typing import Any

import pytest

from apex.observability import bind, count, measure, metrics_of

Records = Callable[[], list[dict[str, Any]]]


def dimensions(document: dict[str, Any]) -> list[list[str]]:
    return document["_aws"]["CloudWatchMetrics"][0]["Dimensions"]  # type: ignore[no-any-return]


def test_a_block_writes_one_document_with_all_its_values(documents: Records) -> None:
    with bind(tenant="acme", workflow_id="w-1"), metrics_of("publish-events"):
        count("Published")
        count("Published", 3)
        measure("Lag", 12.5)
    (document,) = documents()
    assert (document["Published"], document["Lag"]) == ([1.0, 3.0], [12.5])
    assert {tuple(metric.values()) for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"]} == {
        ("Published", "Count"),
        ("Lag", "Milliseconds"),
    }
    assert (document["tenant"], document["workflow_id"]) == ("acme", "w-1")


def test_the_tenant_is_never_a_dimension_and_no_document_holds_two(documents: Records) -> None:
    for tenant in ("acme", "globex"):
        with bind(tenant=tenant, tool="sneaky"), metrics_of("publish-events"):
            count("Published")
    assert [document["tenant"] for document in documents()] == ["acme", "globex"]
    assert all(dimensions(document) == [["env", "service"]] for document in documents())
    assert all(document["Published"] == [1.0] for document in documents())


def test_a_block_without_metrics_writes_nothing(documents: Records) -> None:
    with metrics_of("idle"):
        pass
    assert documents() == []


def test_a_block_that_fails_still_writes_what_it_counted(documents: Records) -> None:
    def fail() -> None:
        with metrics_of("failing"):
            count("Tried")
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert documents()[0]["Tried"] == [1.0]


def test_outside_a_block_a_metric_is_written_at_once(documents: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "loose")
    count("Seen")
    assert (documents()[0]["service"], documents()[0]["Seen"]) == ("loose", [1.0])


def test_more_values_than_a_document_may_hold_are_spread_and_none_is_lost(
    documents: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    with metrics_of("busy"):
        for value in range(250):
            count("Step", value)
        for number in range(150):
            count(f"Kind{number}")
    values = [value for document in documents() for value in document.get("Step", [])]
    assert values == [float(value) for value in range(250)]
    kinds = [name for document in documents() for name in document if name.startswith("Kind")]
    assert sorted(kinds) == sorted(f"Kind{number}" for number in range(150))
    for document in documents():
        metrics = document["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        assert len(metrics) <= 100
        assert all(len(document[metric["Name"]]) <= 100 for metric in metrics)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_cloudwatch_refuses_does_not_spoil_the_document(value: float, documents: Records) -> None:
    with metrics_of("odd"):
        measure("Lag", value)
        count("Fine")
    assert "Lag" not in documents()[0]
    assert documents()[0]["Fine"] == [1.0]


def test_metrics_can_be_switched_off(documents: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    count("Seen")
    assert documents() == []


def test_a_change_of_environment_is_seen(documents: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APEX_ENV", raising=False)
    count("Seen")
    monkeypatch.setenv("APEX_ENV", "prod")
    count("Seen")
    assert [document["env"] for document in documents()] == ["dev", "prod"]
