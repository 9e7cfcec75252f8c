"""The four stories of the demo, with the providers' own books as witness."""

from apex.schema.ledger import EffectState, Mode
from tests.integration.sagas.conftest import System


def kinds(system: System, provider: str) -> list[str]:
    return [entry["kind"] for entry in system.books(provider)]


def test_the_trip_to_paris_completes_and_each_provider_shows_one_effect(system: System) -> None:
    run = system.trip()

    assert run.head.mode is Mode.COMPLETED
    assert {provider: kinds(system, provider) for provider in ("flights", "hotels", "payments")} == {
        "flights": ["apply"],
        "hotels": ["apply"],
        "payments": ["apply"],
    }
    assert system.books("payments")[0]["what"]["amount"] == "900.00"
    assert set(run.states.values()) == {EffectState.CONFIRMED}
    confirmation = system.session.house.store.read_record(
        "records", "acme", f"outbox#{run.of_type('WorkflowCompleted')[0].final_result['message_id']}"
    )
    assert confirmation is not None
    assert confirmation["to"] == "ana@example.com"


def test_the_trip_to_london_runs_with_its_own_values(system: System) -> None:
    run = system.trip("London", "Tower Bridge", "$640")

    assert run.head.mode is Mode.COMPLETED
    assert system.books("payments")[0]["what"]["amount"] == "640.00"
    assert system.books("flights")[0]["what"]["flight_id"].startswith("london:")


def test_a_declined_card_undoes_the_hotel_and_then_the_flight(system: System) -> None:
    run = system.trip(amount="$9,000")

    assert run.head.mode is Mode.FAILED
    assert run.head.failure is not None
    assert run.head.failure.step_id == "s5"
    assert [event.tool_name for event in run.of_type("CompensationCompleted")] == ["reserve_hotel", "book_flight"]
    assert kinds(system, "flights") == ["apply", "undo"]
    assert kinds(system, "hotels") == ["apply", "undo"]
    assert system.books("hotels")[-1]["at"] <= system.books("flights")[-1]["at"]
    assert kinds(system, "payments") == []
    for provider in ("flights", "hotels"):
        assert all(row["taken"] == 0 for row in system.ask(provider, "/inventory")["items"])


def test_a_charge_whose_reply_was_lost_is_probed_found_applied_and_refunded(system: System) -> None:
    system.fault("payments", operation="charge", mode="drop_reply", times=1)

    run = system.trip()

    assert system.faults_fired("payments") == 1
    assert run.head.mode is Mode.FAILED
    assert kinds(system, "payments") == ["apply", "undo"]
    assert run.states["s5"] is EffectState.COMPENSATED
    assert run.of_type("ToolOutcomeUnknown")[0].step_id == "s5"
    assert system.ask("payments", "/inventory")["items"][0]["available"] == "5000.00"
    assert kinds(system, "flights") == ["apply", "undo"]


def test_a_lost_reply_that_the_probe_can_recover_does_not_stop_the_trip(system: System) -> None:
    system.fault("hotels", operation="reserve", mode="drop_reply", times=1)

    run = system.trip()

    assert system.faults_fired("hotels") == 1
    assert run.head.mode is Mode.COMPLETED
    assert kinds(system, "hotels") == ["apply"]
    results = [event for event in run.of_type("ToolResultReceived") if event.step_id == "s4"]
    assert results[-1].resolved_by == "probe"


def test_an_overloaded_provider_is_asked_again(system: System) -> None:
    system.fault("flights", operation="book", mode="unavailable", times=1)

    run = system.trip()

    assert system.faults_fired("flights") == 1
    assert run.head.mode is Mode.COMPLETED
    assert kinds(system, "flights") == ["apply"]
    assert run.of_type("ToolAttemptReleased")[0].step_id == "s3"
