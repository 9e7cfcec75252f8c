"""The four stories of ``apex demo``: what is asked, what goes wrong, and what must be true afterwards.

Every claim is checked against the journal and against the providers' own books; a story whose claims do not all hold
has not ended as told.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from apex.schema.events import CompensationCompleted, JournalEvent, ToolCallRequested, ToolOutcomeUnknown
from apex.schema.ledger import Mode
from infra.cli.options import DEFAULT_TENANT
from infra.cli.report import Record, report
from infra.cli.witness import Booked, Inventories, Witness

if TYPE_CHECKING:
    from infra.local.session import LocalSession

_UNDO_ORDER = ["reserve_hotel", "book_flight"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to see after a story: the workflow, and what the providers say of it."""

    told: dict[str, Any]
    events: Sequence[JournalEvent]
    ledger: Sequence[Booked]
    before: Inventories
    after: Inventories
    faults_fired: int

    def booked(self, provider: str) -> list[str]:
        """The kinds of a provider's ledger lines for this workflow, in order."""
        return [entry.kind for entry in self.ledger if entry.provider == provider]

    def amounts(self) -> list[tuple[str, str]]:
        """Kind and amount of what happened to the card."""
        return [(entry.kind, entry.what["amount"]) for entry in self.ledger if entry.provider == "payments"]

    def of(self, kind: type[Any], tool: str) -> list[Any]:
        """The journal's events of one kind about one tool."""
        return [event for event in self.events if isinstance(event, kind) and event.tool_name == tool]


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that must be true after a story."""

    text: str
    holds: Callable[[Seen], bool]


@dataclass(frozen=True, slots=True)
class Story:
    """One goal, the trouble ordered for it, and what is claimed about the end. ``shows`` names what is worth seeing."""

    title: str
    goal: str
    ends: Mode
    claims: tuple[Claim, ...]
    trouble: tuple[str, Mapping[str, Any]] | None = None
    shows_inventory: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A story after its end."""

    story: Story
    seen: Seen
    verdicts: tuple[tuple[str, bool], ...]

    @property
    def as_told(self) -> bool:
        """Whether every claim holds."""
        return all(holds for _, holds in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """The story as plain data."""
        return {
            "title": self.story.title,
            "goal": self.story.goal,
            "expected": self.story.ends.value,
            "as_told": self.as_told,
            "claims": [{"claim": claim, "holds": holds} for claim, holds in self.verdicts],
            "ledger": [
                {"provider": entry.provider, "kind": entry.kind, "what": entry.what, "at": entry.at}
                for entry in self.seen.ledger
            ],
            "workflow": self.seen.told,
        }


def tell(story: Story, session: "LocalSession", on_event: Callable[[JournalEvent], None] | None) -> Told:
    """Carry a story's goal out and check its claims."""
    from apex.app.submit import Goal

    witness = Witness(session.providers.urls)
    before = witness.inventories()
    fired = 0
    if story.trouble is not None:
        provider, fault = story.trouble
        fired = witness.faults_fired(provider)
        witness.order_fault(provider, fault)
    submitted = session.submit(Goal(DEFAULT_TENANT, "me", story.goal, str(uuid4())))
    head = session.wait(submitted.head.ref, on_event=on_event)
    record = Record.read(session.house.store, head.ref)
    told = report(record, session.transitions(head.ref))
    steps = {step["id"]: step["tool"] for step in (told["plan"] or {"steps": []})["steps"]}
    seen = Seen(
        told=told,
        events=record.events,
        ledger=witness.ledger_of(head.workflow_id, steps),
        before=before,
        after=witness.inventories(),
        faults_fired=witness.faults_fired(story.trouble[0]) - fired if story.trouble else 0,
    )
    ending = Claim(f"the workflow ended {story.ends.value}", lambda seen: seen.told["status"] == story.ends.value)
    verdicts = tuple((claim.text, claim.holds(seen)) for claim in (ending, *story.claims))
    return Told(story, seen, verdicts)


# ── the claims ──────────────────────────────────────────────────────────────────────────────────────────────


def _one_effect_each(seen: Seen) -> bool:
    return all(seen.booked(provider) == ["apply"] for provider in ("flights", "hotels", "payments"))


def _charged(amount: str) -> Claim:
    return Claim(f"the card was charged ${amount}, once", lambda seen: seen.amounts() == [("apply", amount)])


def _undone(seen: Seen) -> list[str]:
    return [event.tool_name for event in seen.events if isinstance(event, CompensationCompleted)]


def _hotel_before_flight(seen: Seen) -> bool:
    undone_at = {entry.provider: entry.at for entry in seen.ledger if entry.kind == "undo"}
    return _undone(seen)[-2:] == _UNDO_ORDER and undone_at["hotels"] <= undone_at["flights"]


def _booked_and_cancelled(seen: Seen) -> bool:
    return all(seen.booked(provider) == ["apply", "undo"] for provider in ("flights", "hotels"))


def _lost_then_found(seen: Seen) -> bool:
    """The first attempt ended unknown; the second asked the provider and learned that the charge had been applied."""
    lost = seen.of(ToolOutcomeUnknown, "charge_payment")
    attempts = seen.of(ToolCallRequested, "charge_payment")
    same_key = len({event.idempotency_key for event in attempts}) == 1
    return len(lost) == 2 and len(attempts) == 2 and same_key and "was applied" in lost[1].error


_NOTHING_TAKEN = Claim("inventory and credit are what they were before", lambda seen: seen.before == seen.after)
_TAKEN_BACK = Claim("seat and room were booked and given back, once each", _booked_and_cancelled)

STORIES: tuple[Story, ...] = (
    Story(
        title="Everything goes well",
        goal="Book a flight to Paris tomorrow, reserve a hotel near the Eiffel Tower and charge $900 to my card",
        ends=Mode.COMPLETED,
        claims=(Claim("flight, hotel and card each show one effect", _one_effect_each), _charged("900.00")),
    ),
    Story(
        title="The same again, for London",
        goal="Book a flight to London on Friday, reserve a hotel near Tower Bridge and charge $640 to my card",
        ends=Mode.COMPLETED,
        claims=(Claim("flight, hotel and card each show one effect", _one_effect_each), _charged("640.00")),
    ),
    Story(
        title="The card is declined: the hotel, then the flight are undone",
        goal="Book a flight to Rome tomorrow, reserve a hotel near the Colosseum and charge $4,990 to my card",
        ends=Mode.FAILED,
        claims=(
            Claim("the card was never charged", lambda seen: seen.amounts() == []),
            Claim("only hotel and flight were undone", lambda seen: _undone(seen) == _UNDO_ORDER),
            Claim("the hotel was undone before the flight", _hotel_before_flight),
            _TAKEN_BACK,
            _NOTHING_TAKEN,
        ),
        shows_inventory=True,
    ),
    Story(
        title="The money moved, but the reply was lost: it is found out, and refunded",
        goal="Book a flight to Lisbon tomorrow, reserve a hotel near Belém Tower and charge $300 to my card",
        ends=Mode.FAILED,
        trouble=("payments", {"operation": "charge", "mode": "drop_reply", "times": 1}),
        claims=(
            Claim("the reply to the charge was lost", lambda seen: seen.faults_fired == 1),
            Claim("nobody knew, the provider was asked, and it had happened", _lost_then_found),
            Claim(
                "the card was charged $300.00 once, and $300.00 were refunded",
                lambda seen: seen.amounts() == [("apply", "300.00"), ("undo", "300.00")],
            ),
            Claim("the hotel was undone before the flight", _hotel_before_flight),
            _TAKEN_BACK,
            _NOTHING_TAKEN,
        ),
        shows_inventory=True,
    ),
)
