"""Functions killed with SIGKILL in the middle of an effect, in processes of their own as on Lambda."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from apex.schema.ledger import EffectState, Mode
from infra.local.lambdas.processes import ProcessInvoker
from infra.local.session import LocalSession
from tests.integration.sagas.conftest import Run, System, note, step
from tests.integration.sagas.trouble import Interference

TOMORROW = (date.today() + timedelta(days=1)).isoformat()  # noqa: DTZ011 - any day ahead will do


@pytest.fixture(scope="module")
def running() -> Iterator[System]:
    """A system whose handlers run in processes; pauses are short, leases and timeouts as they are."""
    interference = Interference()
    with LocalSession(isolation="processes", around_invoke=interference, time_scale=0.05) as session:
        yield System(session, interference)


def kill_function(system: System, name: str) -> None:
    """Kill the processes of one function, as a host that fails does."""
    invoker = system.session.cloud._invoker
    assert isinstance(invoker, ProcessInvoker)
    struck = [sandbox for sandbox in list(invoker._all) if sandbox.function.name == f"apex-dev-{name}"]
    assert struck
    for sandbox in struck:
        sandbox._process.kill()


def strike(system: System, provider: str, function: str) -> None:
    """Kill the function as soon as the provider holds the request that a fault was ordered for."""
    ordered = system.ask(provider, "/faults")["faults"]
    system.eventually(lambda: system.faults_fired(provider) == len(ordered))
    kill_function(system, function)


@pytest.fixture(scope="module")
def runs(running: System) -> dict[str, Run]:
    """Three workflows at once, because each waits for a lease: killed in an undo, a reservation and a payment."""
    system = running
    stay = step("s1", "reserve_hotel", near="the Opera", check_in=TOMORROW, guest="Ana Ruiz")
    system.fault("hotels", operation="cancel", mode="slow", seconds=2, times=1)
    too_much = step("s2", "charge_payment", "s1", amount="9000.00", card="card-on-file")
    undoing = system.submit("too expensive", plan={"steps": [stay, too_much]})
    strike(system, "hotels", "tool-reserve_hotel")

    system.fault("hotels", operation="reserve", mode="slow", seconds=2, times=1)
    reserving = system.submit("sleep", plan={"steps": [stay, note("s2", "s1")]})
    strike(system, "hotels", "tool-reserve_hotel")

    system.fault("payments", operation="charge", mode="slow", seconds=2, times=1)
    charge = step("s2", "charge_payment", "s1", amount="100.00", card="card-on-file")
    paying = system.submit("pay", plan={"steps": [note("s1"), charge]})
    strike(system, "payments", "tool-charge_payment")
    assert system.books("payments") == [], "the money is to move after the function died"

    return {
        name: system.wait(ref, seconds=150)
        for name, ref in (("undo", undoing), ("reserve", reserving), ("pay", paying))
    }


def test_what_a_killed_function_did_is_found_when_its_lease_is_over_and_the_workflow_goes_on(
    runs: dict[str, Run],
) -> None:
    slept = runs["reserve"]

    assert slept.head.mode is Mode.COMPLETED
    assert slept.effects("hotels") == ["apply"]
    assert slept.calls == {"s1": 2, "s2": 1}
    found = next(event for event in slept.of_type("ToolResultReceived") if event.step_id == "s1")
    lease = slept.of_type("ToolCallRequested")[0].lease_until
    assert found.resolved_by == "probe"
    assert found.timestamp >= lease, "somebody took the step while its attempt might still have been at work"


def test_money_that_moved_without_a_receipt_goes_back(runs: dict[str, Run]) -> None:
    """The bank tells that the charge settled, but its receipt only once."""
    paid = runs["pay"]

    assert paid.head.mode is Mode.FAILED
    assert paid.effects("payments") == ["apply", "undo"]
    assert paid.states == {"s1": EffectState.COMPENSATED, "s2": EffectState.COMPENSATED}


def test_a_function_killed_while_it_undoes_is_called_again_under_the_same_key(runs: dict[str, Run]) -> None:
    undone = runs["undo"]

    assert undone.head.mode is Mode.FAILED
    assert undone.effects("hotels") == ["apply", "undo"]
    started = [event for event in undone.of_type("CompensationStarted") if event.step_id == "s1"]
    assert len(started) == 2
    assert len({event.idempotency_key for event in started}) == 1
    assert started[1].timestamp >= started[0].lease_until
