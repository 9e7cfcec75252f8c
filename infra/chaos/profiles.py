"""Named contract profiles: one tool for each way in which providers differ where it matters for safe effects."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from apex.tools import Call, Effect, Input, Output, Probe, Tool, ToolRejected, UndoOfAbsent, tool
from apex.tools.registry import Registry
from infra.chaos.providers import Provider, Traits, answer
from infra.chaos.world import the_world

_DAY = timedelta(hours=24)
_SETTLES = timedelta(seconds=10)
_TIMEOUT = timedelta(seconds=10)


class Order(Input):
    """What every simulated tool is asked: something, with what earlier steps answered."""

    what: str
    given: tuple[str, ...] = ()


class Receipt(Output):
    """What every simulated tool answers."""

    ref: str
    note: str = ""


def _make(name: str, about: str, traits: Traits, *, probe: bool, effect: Effect = Effect.REVERSIBLE) -> Tool[Any, Any]:
    """A tool on a provider with these traits; its contract promises exactly them."""

    def run(order: Order, call: Call) -> Receipt:  # noqa: ARG001
        world = the_world()
        provider = Provider(world, traits)
        return Receipt(**world.apply(call, lambda: provider.receive(call), traits.settles_within))

    def undo(order: Order, receipt: Receipt | None, call: Call) -> None:  # noqa: ARG001
        world = the_world()
        provider = Provider(world, traits)
        world.undo(call, lambda: provider.take_back(call.run_key))

    def find(order: Order, call: Call) -> Probe[Receipt]:  # noqa: ARG001
        world = the_world()
        provider = Provider(world, traits)
        found, result = world.probe(call, lambda: provider.find(call.run_key))
        if found == "APPLIED":
            return Probe.applied(Receipt(**result) if result else None)
        return Probe.never() if found == "NEVER" else Probe.not_seen()

    run.__name__ = name
    undo.__name__ = f"undo_{name}"
    made = tool(
        description=about,
        effect=effect,
        undo_of_absent=traits.undo_of_absent,
        settles_within=traits.settles_within,
        idempotency_window=traits.remembers,
        timeout=_TIMEOUT,
        undo_attempts=3,
    )(run)
    if effect is Effect.REVERSIBLE:
        made.undo(undo)
    if probe:
        made.probe(find)
    return made


@tool(
    description="A row of our own, written with the ledger.",
    effect=Effect.REVERSIBLE,
    transactional=True,
    undo_of_absent=UndoOfAbsent.TOLERATES,
    timeout=_TIMEOUT,
    undo_attempts=3,
    tables=("records",),
)
def transactional(order: Order, call: Call) -> Receipt:
    """Write a row."""
    world = the_world()
    world.write_row(call)
    if world.natures[call.step_id] == "refuses":
        raise ToolRejected("refused")
    call.put_record("records", call.key, {"what": order.what})
    return Receipt(ref=call.key)


@transactional.undo
def undo_transactional(order: Order, receipt: Receipt | None, call: Call) -> None:  # noqa: ARG001
    """Delete the row."""
    the_world().delete_row(call)
    call.delete_record("records", call.run_key)


@tool(description="A question that changes nothing.", effect=Effect.NONE, timeout=_TIMEOUT)
def read_only(order: Order, call: Call) -> Receipt:  # noqa: ARG001
    """Look something up."""
    world = the_world()
    nature = world.natures[call.step_id]
    found = world.look_up(call, lambda: answer(call.key, nature))
    if nature == "refuses":
        raise ToolRejected("refused")
    return Receipt(**found)


PROFILES: Mapping[str, Tool[Any, Any]] = MappingProxyType(
    {
        made.name: made
        for made in (
            _make(
                "keyed_probed_fencing",
                "Knows keys, can be asked, and an undo that comes first leaves a tombstone.",
                Traits(remembers=_DAY, undo_of_absent=UndoOfAbsent.FENCES),
                probe=True,
            ),
            _make(
                "keyed_blind_tolerant",
                "Knows keys but cannot be asked; an undo of nothing does nothing.",
                Traits(remembers=_DAY, undo_of_absent=UndoOfAbsent.TOLERATES),
                probe=False,
            ),
            _make("unkeyed_probed", "Knows no keys but can be searched.", Traits(), probe=True),
            _make(
                "unkeyed_tolerant",
                "Knows no keys but can be searched; an undo of nothing does nothing.",
                Traits(undo_of_absent=UndoOfAbsent.TOLERATES),
                probe=True,
            ),
            _make(
                "probed_without_result",
                "Tells that it happened, but not the result any more.",
                Traits(remembers=_DAY, tells_result=False, undo_of_absent=UndoOfAbsent.FENCES),
                probe=True,
            ),
            _make(
                "keyed_briefly",
                "Knows keys for a minute only.",
                Traits(remembers=timedelta(seconds=60), undo_of_absent=UndoOfAbsent.TOLERATES),
                probe=False,
            ),
            _make("unkeyed_blind", "Knows no keys and cannot be asked.", Traits(), probe=False),
            _make(
                "irreversible",
                "Knows keys and can be asked, but nothing takes it back.",
                Traits(remembers=_DAY),
                probe=True,
                effect=Effect.IRREVERSIBLE,
            ),
            transactional,
            read_only,
        )
    }
)

REGISTRY = Registry(PROFILES)
