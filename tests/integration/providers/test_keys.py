"""Idempotency keys, probes, undoing and tombstones: the same promises at flights, hotels and payments."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.integration.providers.world import Provider, Reply, Trade

DAY = 24 * 3600


def run(provider: Provider, trade: Trade, key: str = "run-1") -> Reply:
    return provider.post(f"/{trade.collection}", dict(trade.request), key=key)


def undo(provider: Provider, trade: Trade, key: str = "run-1", undo_key: str = "undo-1") -> Reply:
    return provider.post(trade.undo_path(key), {}, key=undo_key)


def probe(provider: Provider, trade: Trade, key: str = "run-1") -> Reply:
    return provider.call("GET", trade.by_key(key))


def test_the_same_key_gets_the_same_answer_and_one_effect(trade: Trade, provider: Provider) -> None:
    first, again = run(provider, trade), run(provider, trade)
    assert first.status == 201
    assert first.body["status"] == trade.applied
    assert again == first
    assert provider.kinds() == ["apply"]


def test_twenty_at_once_with_one_key_are_one_effect_and_one_answer(trade: Trade, provider: Provider) -> None:
    start = Barrier(20)

    def one(_: int) -> Reply:
        start.wait()
        return run(provider, trade)

    with ThreadPoolExecutor(20) as threads:
        replies = list(threads.map(one, range(20)))
    assert {str(reply) for reply in replies} == {str(replies[0])}
    assert replies[0].status == 201
    assert provider.kinds() == ["apply"]


def test_the_same_key_for_something_else_is_refused(trade: Trade, provider: Provider) -> None:
    run(provider, trade)
    reply = provider.post(f"/{trade.collection}", dict(trade.other_request), key="run-1")
    assert (reply.status, reply.body["code"]) == (422, "key_reused")
    assert provider.kinds() == ["apply"]


def test_different_keys_are_different_effects(trade: Trade, provider: Provider) -> None:
    first, second = run(provider, trade, "run-1"), run(provider, trade, "run-2")
    assert first.body != second.body
    assert [entry["key"] for entry in provider.ledger()] == ["run-1", "run-2"]
    assert provider.kinds("run-2") == ["apply"]


@pytest.mark.parametrize("key", [None, "", "x" * 256])
def test_an_effect_needs_a_usable_key(trade: Trade, provider: Provider, key: str | None) -> None:
    reply = provider.post(f"/{trade.collection}", dict(trade.request), key=key)
    assert reply.status == 400
    assert reply.body["code"] in ("idempotency_key_required", "idempotency_key_invalid")
    assert provider.ledger() == []


def test_a_key_may_hold_slashes_and_spaces(trade: Trade, provider: Provider) -> None:
    run(provider, trade, "acme/42 run")
    assert probe(provider, trade, "acme%2F42%20run").body["status"] == trade.applied


def test_a_probe_follows_the_effect_through_its_life(trade: Trade, provider: Provider) -> None:
    assert (probe(provider, trade).status, probe(provider, trade).body["code"]) == (404, "not_found")
    run(provider, trade)
    assert probe(provider, trade).body["status"] == trade.applied
    undo(provider, trade)
    assert probe(provider, trade).body == {"key": "run-1", "status": trade.undone}


def test_a_probe_repeats_a_booking_but_never_a_receipt(trade: Trade, provider: Provider) -> None:
    answer = run(provider, trade).body
    told = probe(provider, trade).body
    if trade.name == "payments":
        assert told == {"key": "run-1", "status": "settled"}
    else:
        assert told == {"key": "run-1", **answer}


def test_undoing_gives_everything_back_and_is_done_once(trade: Trade, provider: Provider) -> None:
    before = provider.inventory()
    run(provider, trade)
    assert provider.inventory() != before
    first = undo(provider, trade)
    assert (first.status, first.body["status"]) == (200, trade.undone)
    assert undo(provider, trade) == first
    assert undo(provider, trade, undo_key="undo-2") == first
    assert provider.kinds("run-1") == ["apply", "undo"]
    assert provider.inventory() == before


def test_twenty_undos_at_once_are_one_undo(trade: Trade, provider: Provider) -> None:
    run(provider, trade)
    with ThreadPoolExecutor(20) as threads:
        replies = list(threads.map(lambda n: undo(provider, trade, undo_key=f"undo-{n % 4}"), range(20)))
    assert {str(reply) for reply in replies} == {str(replies[0])}
    assert provider.kinds() == ["apply", "undo"]


def test_an_undo_key_belongs_to_one_effect(trade: Trade, provider: Provider) -> None:
    run(provider, trade, "run-1")
    run(provider, trade, "run-2")
    undo(provider, trade, "run-1")
    reply = undo(provider, trade, "run-2", undo_key="undo-1")
    assert (reply.status, reply.body["code"]) == (422, "key_reused")
    assert provider.kinds("run-2") == ["apply"]


def test_undoing_what_never_happened_changes_nothing_and_leaves_a_tombstone(trade: Trade, provider: Provider) -> None:
    before = provider.inventory()
    reply = undo(provider, trade)
    assert (reply.status, reply.body["code"]) == (404, "not_found")
    assert probe(provider, trade).body["status"] == "revoked"
    for _ in range(2):
        late = run(provider, trade)
        assert (late.status, late.body["code"]) == (409, "key_revoked")
    assert provider.ledger() == []
    assert provider.inventory() == before


def test_a_tombstone_outlives_the_window(trade: Trade, provider: Provider) -> None:
    undo(provider, trade)
    provider.admin("/settings", {"clock_offset_seconds": 400 * DAY})
    assert run(provider, trade).body["code"] == "key_revoked"
    assert provider.ledger() == []


def test_a_key_is_remembered_within_the_window_and_forgotten_after_it(trade: Trade, provider: Provider) -> None:
    run(provider, trade)
    provider.admin("/settings", {"clock_offset_seconds": DAY - 60})
    run(provider, trade)
    assert provider.kinds() == ["apply"]
    provider.admin("/settings", {"clock_offset_seconds": DAY + 60})
    assert run(provider, trade).status == 201
    assert provider.kinds() == ["apply", "apply"]


def test_the_window_can_be_shortened(trade: Trade, provider: Provider) -> None:
    run(provider, trade)
    provider.admin("/settings", {"key_window_seconds": 3600, "clock_offset_seconds": 3700})
    run(provider, trade)
    assert provider.kinds() == ["apply", "apply"]


def test_an_effect_can_be_probed_and_undone_after_the_window(trade: Trade, provider: Provider) -> None:
    before = provider.inventory()
    run(provider, trade)
    provider.admin("/settings", {"clock_offset_seconds": 3 * DAY})
    assert probe(provider, trade).body["status"] == trade.applied
    assert undo(provider, trade).status == 200
    assert provider.inventory() == before
    assert run(provider, trade).body["code"] == "key_revoked"


def test_every_effect_that_a_forgotten_key_repeated_can_be_undone(trade: Trade, provider: Provider) -> None:
    before = provider.inventory()
    run(provider, trade)
    provider.admin("/settings", {"clock_offset_seconds": 2 * DAY})
    run(provider, trade)
    undo(provider, trade, undo_key="undo-1")
    assert probe(provider, trade).body["status"] == trade.applied
    undo(provider, trade, undo_key="undo-2")
    assert provider.inventory() == before
    assert provider.kinds() == ["apply", "apply", "undo", "undo"]


def test_a_refusal_is_remembered_too(trade: Trade, provider: Provider) -> None:
    if trade.name == "payments":
        provider.admin("/cards", {"card": "card-on-file", "limit": "10.00"})
    else:
        provider.admin("/inventory", {"seats" if trade.name == "flights" else "rooms": 0})
    first = run(provider, trade)
    assert (first.status, first.body["code"]) == trade.refusal
    if trade.name == "payments":
        provider.admin("/cards", {"card": "card-on-file", "limit": "5000.00"})
    else:
        provider.admin("/inventory", {"seats" if trade.name == "flights" else "rooms": 10})
    assert run(provider, trade) == first
    assert probe(provider, trade).body["status"] == trade.refused
    assert run(provider, trade, "run-2").status == 201
    assert provider.kinds("run-1") == []


def test_a_field_nobody_knows_is_refused(trade: Trade, provider: Provider) -> None:
    reply = provider.post(f"/{trade.collection}", {**trade.request, "colour": "blue"}, key="run-1")
    assert (reply.status, reply.body["field"]) == (422, "colour")
    assert run(provider, trade).status == 201  # what was never understood does not use up the key


def test_ledger_times_are_utc_and_follow_the_clock(trade: Trade, provider: Provider) -> None:
    provider.admin("/settings", {"clock_offset_seconds": 40 * 365 * DAY})
    run(provider, trade)
    (entry,) = provider.ledger()
    assert entry["at"].endswith("Z")
    assert entry["at"] > "2060"


def test_a_reset_forgets_everything(trade: Trade, provider: Provider) -> None:
    before = provider.inventory()
    run(provider, trade)
    undo(provider, trade, "run-2", "undo-2")
    provider.fault(trade.apply, "unavailable")
    provider.admin("/reset", {})
    assert provider.ledger() == []
    assert provider.inventory() == before
    assert provider.fired() == []
    assert run(provider, trade, "run-2").status == 201
