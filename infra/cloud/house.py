"""Reads the house: which handlers, tools and state machines the folders hold.

Nothing is registered by hand. A folder ``functions/<name>`` with a ``handler.py`` is a function, a folder
``functions/tools/<name>`` with a ``tool.py`` is a tool, a file ``statemachines/<name>.asl.json`` is a state machine.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from apex.errors import InvalidInput
from infra.cloud.settings import Settings

_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9]+)\}")


@dataclass(frozen=True, slots=True)
class ToolFolder:
    """What the infrastructure must know of a tool; ``timeout`` in seconds, ``service`` an HTTP service it calls."""

    name: str
    timeout: int
    service: str | None = None
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """A state machine file, byte for byte."""

    name: str
    definition: str

    @property
    def substitutions(self) -> tuple[str, ...]:
        """The names that the definition leaves open as ``${Name}``, each once, in order of appearance."""
        return tuple(dict.fromkeys(_SUBSTITUTION.findall(self.definition)))


@dataclass(frozen=True, slots=True)
class House:
    """Everything that the folders of one repository define."""

    handlers: tuple[str, ...]
    tools: tuple[ToolFolder, ...]
    machines: tuple[Machine, ...]

    @property
    def services(self) -> tuple[str, ...]:
        """The HTTP services that some tool calls, each once, sorted."""
        return tuple(sorted({tool.service for tool in self.tools if tool.service}))


def read_house(settings: Settings) -> House:
    """Read handlers, tools and state machines from the folders of ``settings``.

    Raises ``InvalidInput`` when a tool's folder and the name in its contract differ.
    """
    return House(
        handlers=tuple(sorted(path.parent.name for path in settings.functions.glob("*/handler.py"))),
        tools=tuple(_read_tools(settings.tools)),
        machines=tuple(_read_machines(settings.statemachines)),
    )


def _read_tools(folder: Path) -> Iterable[ToolFolder]:
    folders = sorted(path.parent.name for path in folder.glob("*/tool.py"))
    if not folders:
        return
    # Imported only here: a house without tools needs none of the tool SDK.
    from apex.tools.registry import discover

    tools = discover(folder).tools
    if sorted(tools) != folders:
        raise InvalidInput(f"folders of tools {folders} and names in their contracts {sorted(tools)} differ")
    for name, tool in sorted(tools.items()):
        contract = tool.contract
        yield ToolFolder(
            name=name,
            timeout=math.ceil(contract.timeout.total_seconds()),
            service=contract.service,
            tables=tuple(contract.tables),
        )


def _read_machines(folder: Path) -> Iterable[Machine]:
    for path in sorted(folder.glob("*.asl.json")):
        yield Machine(path.name.removesuffix(".asl.json"), path.read_text(encoding="utf-8"))
