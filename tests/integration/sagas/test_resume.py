"""A workflow goes on from its journal alone: whatever became of the execution, what is done is not done again."""

import pytest

from apex.app.generations import hand_over
from apex.schema.ledger import EffectState, Mode
from tests.integration.sagas.conftest import TRIP, System
from tests.integration.sagas.trouble import Counted, Silenced, When

PARIS = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$900")
TOO_EXPENSIVE = TRIP.format(city="Paris", place="the Eiffel Tower", amount="$9,000")


@pytest.mark.parametrize("when", ["before", "instead", "after"])
@pytest.mark.parametrize(
    ("function", "action"),
    [
        ("find-plan", None),
        ("tool-search_flights", "run"),
        ("tool-book_flight", "run"),
        ("tool-charge_payment", "run"),
        ("close-workflow", None),
    ],
)
def test_another_execution_finishes_what_a_stopped_one_began(
    system: System, function: str, action: str | None, when: When
) -> None:
    """The janitor is kept out: it would roll back. Somebody else takes the workflow over at once."""
    looks_away = Silenced("apex-dev-janitor")
    system.interference.add(looks_away)
    stopped = system.stop_at(function, when, action=action)
    ref = system.submit(PARIS)
    system.eventually(lambda: stopped.fired and looks_away.count)
    if system.session.house.store.head(ref).mode is Mode.RUNNING:
        hand_over(system.session.house, ref, 1)

    run = system.wait(ref)

    assert run.head.mode is Mode.COMPLETED
    assert {provider: run.effects(provider) for provider in ("flights", "hotels", "payments")} == {
        "flights": ["apply"],
        "hotels": ["apply"],
        "payments": ["apply"],
    }
    assert set(run.calls.values()) == {1}
    assert run.of_type("WorkflowCompleted")[0].final_result is not None


def test_a_later_failure_undoes_what_the_stopped_execution_did(system: System) -> None:
    looks_away = Silenced("apex-dev-janitor")
    system.interference.add(looks_away)
    flights = Counted("apex-dev-tool-book_flight")
    system.interference.add(flights)
    system.stop_at("tool-book_flight", "after", action="run")
    ref = system.submit(TOO_EXPENSIVE)
    system.eventually(lambda: looks_away.count)
    hand_over(system.session.house, ref, 1)

    run = system.wait(ref)

    assert run.head.mode is Mode.FAILED
    assert [event.tool_name for event in run.of_type("CompensationCompleted")] == ["reserve_hotel", "book_flight"]
    assert run.calls["s3"] == 1
    assert flights.count == 2, "one run by the first execution, one undo; none by the second"
    assert run.effects("flights") == ["apply", "undo"]
    assert run.states["s3"] is EffectState.COMPENSATED
