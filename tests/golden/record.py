"""Records sample journals from real runs: ``python -m tests.golden.record FOLDER``.

A folder per schema version is recorded once, when the version is released, and never again: what users have stored does
not change either. See README.md beside this file.
"""

import json
import sys
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from apex.adapters.memory import ManualClock, MemoryStore, RecordingExecutions
from apex.app import plans
from apex.app.catalogue import registry
from apex.app.close import close_workflow
from apex.app.fork import fork
from apex.app.house import House
from apex.app.operate import Operator, abandon, mark_applied, resume, retry_step, skip_step
from apex.app.requests import StepRequest
from apex.app.rollback import list_steps, start_rollback
from apex.app.run_step import run_step
from apex.app.submit import Goal, submit
from apex.app.undo_step import undo_step
from apex.errors import StepFenced
from apex.ports import PlanProposal, PlanRequest
from apex.schema.contract import Effect, UndoOfAbsent
from apex.schema.events import JournalEvent
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Failure
from apex.schema.plan import Plan, Step
from apex.tools import Call, Input, Output, tool
from apex.tools.registry import Registry
from apex.workflow.fold import fold
from infra.local.session import LocalSession

TRIP = "Book a flight to {city} tomorrow, reserve a hotel near {place} and charge {amount} to my card"
ANA = Operator(by="ana", why="the customer called")


class Recorder:
    """Runs one scenario after the other and writes what the journal says."""

    def __init__(self, session: LocalSession, folder: Path) -> None:
        self.session = session
        self.folder = folder

    def run(self, text: str, plan: dict[str, Any] | None = None) -> WorkflowRef:
        """Carry out a goal to its end."""
        given = None if plan is None else Plan.model_validate(plan)
        submitted = self.session.submit(Goal("acme", "ana", text, str(uuid4()), plan=given))
        return self.wait(submitted.head.ref)

    def wait(self, ref: WorkflowRef) -> WorkflowRef:
        """Wait for the end."""
        self.session.wait(ref, timeout=timedelta(seconds=60))
        return ref

    def order(self, provider: str, path: str, **body: Any) -> None:
        """Talk to a provider."""
        request = urllib.request.Request(  # noqa: S310 - a loopback address of our own
            self.session.providers.urls[provider] + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()  # noqa: S310

    def write(self, name: str, ref: WorkflowRef) -> None:
        """Write the journal, and the state that it folds to, of one workflow."""
        self.write_events(name, list(self.session.house.store.events(ref)))

    def write_events(self, name: str, events: list[JournalEvent]) -> None:
        """Write a journal, and the state that it folds to."""
        sample = {
            "events": [event.model_dump(mode="json") for event in events],
            "state": fold(events).model_dump(mode="json"),
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(sample, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def completed(recorder: Recorder) -> None:
    """Everything goes well."""
    recorder.write("completed", recorder.run(TRIP.format(city="Paris", place="the Eiffel Tower", amount="$900")))


def not_planned(recorder: Recorder) -> None:
    """Nobody can plan the goal."""
    recorder.write("not_planned", recorder.run("Sing me a song"))


def rolled_back(recorder: Recorder) -> None:
    """The card is declined; hotel and flight are undone."""
    recorder.write("rolled_back", recorder.run(TRIP.format(city="Rome", place="the Colosseum", amount="$9,000")))


def tried_again(recorder: Recorder) -> None:
    """The airline is overloaded once, and the hotel's reply is lost but can be asked for."""
    recorder.order("flights", "/faults", operation="book", mode="unavailable", times=1)
    recorder.order("hotels", "/faults", operation="reserve", mode="drop_reply", times=1)
    recorder.write("tried_again", recorder.run(TRIP.format(city="Oslo", place="Aker Brygge", amount="$30")))


def unknown_and_refunded(recorder: Recorder) -> None:
    """The reply to the charge is lost, and with it the receipt."""
    recorder.order("payments", "/faults", operation="charge", mode="drop_reply", times=1)
    recorder.write("unknown_and_refunded", recorder.run(TRIP.format(city="Bern", place="the Zytglogge", amount="$40")))


def parked_and_abandoned(recorder: Recorder) -> None:
    """The hotel cannot be cancelled, however often it is tried; a person accepts it."""
    recorder.order("hotels", "/faults", operation="cancel", mode="error_before", times=5)
    ref = recorder.run(TRIP.format(city="Lima", place="the Plaza Mayor", amount="$9,000"))
    recorder.write("parked", ref)
    abandon(recorder.session.house, ref, ANA)
    recorder.write("parked_and_abandoned", ref)


def resumed(recorder: Recorder) -> None:
    """After a rollback a person retries, skips and marks steps, and the workflow goes on."""
    house = recorder.session.house
    recorder.order("flights", "/faults", operation="cancel", mode="error_before", times=5)
    ref = recorder.run(TRIP.format(city="Cairo", place="the Great Pyramid", amount="$9,000"))
    mark_applied(house, ref, "s3", ANA)
    retry_step(house, ref, "s4", ANA)
    retry_step(house, ref, "s5", ANA)
    skip_step(house, ref, "s6", ANA)
    recorder.order("payments", "/cards", card="card-on-file", limit="20000.00")
    resume(house, ref, ANA)
    recorder.write("resumed", recorder.wait(ref))


def forked(recorder: Recorder) -> None:
    """A fork uses what an earlier workflow confirmed."""
    origin = recorder.run(TRIP.format(city="Quito", place="La Ronda", amount="$50"))
    head = fork(recorder.session.house, registry(), origin, "s5", ANA, key=str(uuid4()))
    recorder.write("forked", recorder.wait(head.ref))


def handed_over(recorder: Recorder) -> None:
    """A plan that is too long for one execution."""
    steps = [
        {
            "id": f"s{number}",
            "tool": "create_record",
            "input": {"collection": "notes", "data": {"number": number}},
            "depends_on": [f"s{number - 1}"] if number > 1 else [],
        }
        for number in range(1, 6)
    ]
    longest, plans.MAX_STEPS_PER_EXECUTION = plans.MAX_STEPS_PER_EXECUTION, 2
    try:
        recorder.write("handed_over", recorder.run("five notes", {"steps": steps}))
    finally:
        plans.MAX_STEPS_PER_EXECUTION = longest


class Order(Input):
    """Nothing to say."""


class Booked(Output):
    """What the slow provider answers."""

    booking_id: str


def late_effect(recorder: Recorder) -> None:
    """A provider takes so long that its step is undone meanwhile, and then it does what it was asked to.

    The machines would have to wait for leases, so this one is driven by hand, with a clock of its own.
    """
    clock = ManualClock()
    house = House(store=MemoryStore(), executions=RecordingExecutions(), clock=clock)

    def request(generation: int) -> StepRequest:
        return StepRequest(ref, "s1", generation, clock.now() + timedelta(seconds=15))

    def roll_back(generation: int) -> None:
        list_steps(house, Registry({"book_slowly": book_slowly}), ref, generation)
        undo_step(house, book_slowly, request(generation))
        close_workflow(house, ref, generation)

    @tool(
        description="Books, but takes its time.",
        effect=Effect.REVERSIBLE,
        undo_of_absent=UndoOfAbsent.TOLERATES,
        idempotency_window=timedelta(hours=24),
    )
    def book_slowly(order: Order, call: Call) -> Booked:
        clock.advance(timedelta(minutes=5))
        start_rollback(house, ref, 1, Failure(error="Execution.ABORTED", message="it was stopped"), "janitor")
        roll_back(2)
        return Booked(booking_id="BK-1")

    @book_slowly.undo
    def unbook(order: Order, booked: Booked | None, call: Call) -> None:
        """Whatever there is goes away."""

    plan = Plan(steps=(Step(id="s1", tool="book_slowly"),))
    ref = submit(house, Goal("acme", "ana", "book", "golden-late-effect", plan=plan)).head.ref
    plans.find_plan(house, Registry({"book_slowly": book_slowly}), NoIndex(), ref, 1)
    try:
        run_step(house, book_slowly, request(1))
    except StepFenced:
        roll_back(3)
    recorder.write_events("late_effect", list(house.store.events(ref)))


class NoIndex:
    """A plan index without plans."""

    def find(self, request: PlanRequest) -> PlanProposal | None:
        """Never a plan."""
        del request
        return None


SCENARIOS: tuple[Callable[[Recorder], None], ...] = (
    completed,
    not_planned,
    rolled_back,
    tried_again,
    unknown_and_refunded,
    parked_and_abandoned,
    forked,
    handed_over,
    resumed,
    late_effect,
)


def main(folder: Path) -> None:
    """Record every scenario into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with LocalSession(time_scale=0.05) as session:
        recorder = Recorder(session, folder)
        for scenario in SCENARIOS:
            scenario(recorder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
