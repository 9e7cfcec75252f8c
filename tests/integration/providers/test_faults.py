"""Trouble on order: each fault does what it says, is counted, and hits only what it was meant for."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from tests.integration.providers.world import CHARGE, Provider, Reply, Trade

POLL_SECONDS = 15.0


def run(provider: Provider, trade: Trade, key: str = "run-1") -> Reply:
    return provider.post(f"/{trade.collection}", dict(trade.request), key=key)


def eventually(provider: Provider, kinds: list[str]) -> None:
    """Waits until the ledger says so; fails after a quarter of a minute."""
    give_up = time.monotonic() + POLL_SECONDS
    while provider.kinds() != kinds:
        assert time.monotonic() < give_up, f"the ledger still says {provider.kinds()}"
        time.sleep(0.02)


def test_a_dropped_reply_hides_an_effect_that_happened(trade: Trade, provider: Provider) -> None:
    provider.fault(trade.apply, "drop_reply")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        run(provider, trade)
    assert provider.fired() == [1]
    assert provider.kinds() == ["apply"]
    assert provider.get(trade.by_key("run-1"))["status"] == trade.applied
    assert run(provider, trade).status == 201
    assert provider.kinds() == ["apply"]


def test_a_dropped_reply_hides_a_refusal_as_well(trade: Trade, provider: Provider) -> None:
    provider.post(trade.undo_path("run-1"), {}, key="undo-1")
    provider.fault(trade.apply, "drop_reply")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        run(provider, trade)
    assert provider.kinds() == []


@pytest.mark.parametrize(("mode", "status"), [("error_before", 500), ("unavailable", 503)])
def test_an_error_before_the_effect_leaves_none(trade: Trade, provider: Provider, mode: str, status: int) -> None:
    provider.fault(trade.apply, mode)
    assert run(provider, trade).status == status
    assert provider.kinds() == []
    assert provider.call("GET", trade.by_key("run-1")).status == 404
    assert run(provider, trade).status == 201


def test_a_simulated_decline_is_not_remembered(trade: Trade, provider: Provider) -> None:
    provider.fault(trade.apply, "decline")
    reply = run(provider, trade)
    assert (reply.status, reply.body["code"]) == trade.refusal
    assert run(provider, trade).status == 201


def test_a_decline_may_follow_an_effect_whose_reply_was_lost(trade: Trade, provider: Provider) -> None:
    provider.fault(trade.apply, "drop_reply")
    provider.fault(trade.apply, "decline")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        run(provider, trade)
    assert run(provider, trade).status == trade.refusal[0]
    assert provider.fired() == [1, 1]
    assert provider.kinds() == ["apply"]
    assert provider.get(trade.by_key("run-1"))["status"] == trade.applied


def test_a_late_effect_lands_after_the_caller_was_hung_up_on(trade: Trade, provider: Provider) -> None:
    provider.fault(trade.apply, "late_apply", seconds=0.3)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        run(provider, trade)
    eventually(provider, ["apply"])
    assert provider.get(trade.by_key("run-1"))["status"] == trade.applied


def test_a_tombstone_stops_a_late_effect(trade: Trade, provider: Provider) -> None:
    provider.fault(trade.apply, "late_apply", seconds=0.3, match={"key": "run-1"})
    with pytest.raises(urllib3.exceptions.ProtocolError):
        run(provider, trade)
    assert provider.post(trade.undo_path("run-1"), {}, key="undo-1").status == 404
    # A second late request, ordered after the first, tells when the first has had its turn.
    provider.fault(trade.apply, "late_apply", seconds=0.4, match={"key": "run-2"})
    with pytest.raises(urllib3.exceptions.ProtocolError):
        run(provider, trade, "run-2")
    eventually(provider, ["apply"])
    assert provider.kinds("run-1") == []
    assert provider.kinds("run-2") == ["apply"]


def test_a_reset_calls_off_what_was_still_to_land(trade: Trade, provider: Provider) -> None:
    provider.fault(trade.apply, "late_apply", seconds=0.2)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        run(provider, trade)
    provider.admin("/reset", {})
    provider.fault(trade.apply, "late_apply", seconds=0.4)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        run(provider, trade, "run-2")
    eventually(provider, ["apply"])
    assert provider.kinds("run-1") == []


def test_a_slow_request_is_carried_out_in_the_end(payments: Provider) -> None:
    payments.fault("charge", "slow", seconds=1.5)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(payments.post, "/charges", CHARGE, key="run-1")
        while payments.fired() != [1]:
            time.sleep(0.005)
        assert payments.kinds() == []
        assert slow.result().status == 201
    assert payments.kinds() == ["apply"]


def test_a_slow_request_and_its_quick_repetition_are_one_effect(trade: Trade, provider: Provider) -> None:
    provider.fault(trade.apply, "slow", seconds=0.3)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(run, provider, trade)
        while provider.fired() != [1]:
            time.sleep(0.005)
        quick = run(provider, trade)
        assert slow.result() == quick
    assert provider.kinds() == ["apply"]


def test_an_undo_whose_reply_is_lost_happened(trade: Trade, provider: Provider) -> None:
    run(provider, trade)
    provider.fault(trade.undo, "drop_reply", match={"undo_key": "undo-1"})
    with pytest.raises(urllib3.exceptions.ProtocolError):
        provider.post(trade.undo_path("run-1"), {}, key="undo-1")
    assert provider.kinds() == ["apply", "undo"]
    assert provider.post(trade.undo_path("run-1"), {}, key="undo-1").body["status"] == trade.undone
    assert provider.kinds() == ["apply", "undo"]


def test_a_probe_can_fail_too(trade: Trade, provider: Provider) -> None:
    provider.fault("probe", "unavailable", times=2)
    assert [provider.call("GET", trade.by_key("run-1")).status for _ in range(3)] == [503, 503, 404]


def test_a_fault_hits_only_what_matches_and_as_often_as_ordered(payments: Provider) -> None:
    payments.fault("charge", "unavailable", times=2, match={"amount": "900.00", "card": "card-on-file"})
    payments.fault("charge", "error_before", match={"key": "k9"}, times=None)
    statuses = [
        payments.post("/charges", {**CHARGE, "amount": amount}, key=key).status
        for amount, key in [
            ("1.00", "k1"),
            ("900.00", "k2"),
            ("900.00", "k3"),
            ("900.00", "k4"),
            ("2.00", "k9"),
            ("2.00", "k9"),
        ]
    ]
    assert statuses == [201, 503, 503, 201, 500, 500]
    assert payments.fired() == [2, 2]


def test_a_fault_leaves_the_other_providers_alone(providers: dict[str, Provider]) -> None:
    providers["hotels"].fault("cancel", "unavailable")
    assert providers["flights"].fired() == []
    assert providers["flights"].post("/bookings/by-key/k1/cancel", {}, key="u1").status == 404


@pytest.mark.parametrize(
    "order",
    [
        {"operation": "chrage", "mode": "slow", "seconds": 1},
        {"operation": "charge", "mode": "explode"},
        {"operation": "charge", "mode": "slow"},
        {"operation": "charge", "mode": "slow", "seconds": -1},
        {"operation": "charge", "mode": "decline", "times": 0},
        {"operation": "charge", "mode": "decline", "match": "k1"},
        {"operation": "charge", "mode": "decline", "matches": {}},
        {"operation": "book", "mode": "decline"},
    ],
)
def test_a_mistyped_fault_is_refused_rather_than_never_firing(payments: Provider, order: dict[str, object]) -> None:
    assert payments.post("/faults", order).status == 422
    assert payments.get("/faults") == {"faults": []}
