"""What each function may use: the one table to read before granting anything more.

A folder under ``functions/`` without a row here stops the synthesis: nothing is deployed with guessed permissions.
Tools have no rows; what they need beyond the ledger is in their contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from apex.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Needs:
    """Time and memory of one function, and what it may touch.

    ``timeout`` in seconds, ``memory`` in MiB. ``reads`` and ``writes`` name tables; writing to the journal means
    appending. ``starts`` names state machines that the function may start, ``watches`` those whose executions it may
    look at. ``carries_tools`` puts the tools' folders into the bundle of a function that reads their contracts.
    """

    timeout: int = 15
    memory: int = 512
    reads: tuple[str, ...] = ("journal", "state")
    writes: tuple[str, ...] = ()
    reads_payloads: bool = True
    writes_payloads: bool = False
    publishes: bool = False
    starts: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    carries_tools: bool = False


_LEDGER = ("journal", "state")

HANDLERS: Mapping[str, Needs] = {
    "find_plan": Needs(timeout=30, writes=_LEDGER, writes_payloads=True, carries_tools=True),
    "make_plan": Needs(timeout=120, writes=_LEDGER, writes_payloads=True, carries_tools=True),
    "close_workflow": Needs(timeout=30, writes=_LEDGER, writes_payloads=True),
    "start_rollback": Needs(timeout=30, writes=_LEDGER, writes_payloads=True, starts=("rollback",)),
    "list_steps": Needs(timeout=30, writes=_LEDGER, carries_tools=True),
    "park_step": Needs(timeout=30, writes=_LEDGER, writes_payloads=True),
    "hand_over": Needs(timeout=30, writes=_LEDGER, starts=("agent_workflow",)),
    "janitor": Needs(
        timeout=120,
        writes=_LEDGER,
        starts=("agent_workflow", "rollback"),
        watches=("agent_workflow", "rollback"),
    ),
    "publish_events": Needs(timeout=60, reads=(), publishes=True),
    "project_events": Needs(
        timeout=60,
        reads=("journal", "workflow_instances"),
        writes=("workflow_instances",),
        writes_payloads=True,
    ),
}

TOOL = Needs(writes=_LEDGER, writes_payloads=True)

# Time a tool function has beyond the tool's own timeout: to load the step, and to record its outcome.
TOOL_RESERVE_SECONDS = 5


def needs_of(handler: str, table: Mapping[str, Needs] = HANDLERS) -> Needs:
    """The row of one handler folder.

    Raises ``InvalidInput`` when there is none.
    """
    try:
        return table[handler]
    except KeyError:
        raise InvalidInput(
            f"functions/{handler} has no row in infra/cloud/needs.py; say there what it may use"
        ) from None
