"""A user's own tools under the simulator's faults: their functions run as they are, the trouble around them is ours.

Nothing has to be written for it. Better checks come from two things beside the tools, if they are there:

* ``<tool>/chaos.json``: a list of inputs for the tool; without it they are made up from its JSON Schema.
* ``witness.py`` with ``effects(tool: str, key: str) -> int``: how many effects there are outside under this key.
  Without it the tool's own probe is asked, and of a tool without a probe only the ledger is checked.
"""

import copy
import importlib.util
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from apex.errors import ApexError, InvalidInput
from apex.schema.contract import Contract, Effect
from apex.tools import Call, Tool
from apex.tools.registry import Registry, discover
from infra.chaos.profiles import PROFILES
from infra.chaos.samples import sample
from infra.chaos.world import the_world

Effects = Callable[[str, str], int]
_INPUTS = 5


@dataclass(frozen=True)
class Tools:
    """What programs are made of: the simulated profiles, and a user's own tools with their inputs."""

    own: Mapping[str, Tool[Any, Any]] = field(default_factory=dict)
    inputs: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    effects: Effects | None = None

    @property
    def registry(self) -> Registry:
        """All of them."""
        return Registry(MappingProxyType({**PROFILES, **self.own}))

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The contracts by name: of the own tools, or of the profiles where there are none."""
        return {name: tool.contract for name, tool in (self.own or PROFILES).items()}

    def visible(self, tool: str, key: str) -> int | None:
        """How many effects of an own tool there are under this key; None where nobody can tell."""
        if self.effects is not None:
            return self.effects(tool, key)
        asked = the_world().memory.get(f"called {key}")
        return asked.visible() if isinstance(asked, _Asked) else 0


@dataclass(frozen=True)
class _Asked:
    """With what a tool was called, so that it can be asked about later, without any fault on the way."""

    tool: Tool[Any, Any]
    typed: Any
    call: Call

    def visible(self) -> int | None:
        """Whether the tool's probe finds the effect; None where it has none."""
        probe = self.tool.probe_function
        if probe is None:
            return None
        return int(probe(self.typed, _in_time(self.call, self.tool.contract)).answer == "APPLIED")


def load(folder: Path, seed: int) -> Tools:
    """The tools in the folders of ``folder``. Raises ``InvalidInput`` where there are none, or where an input does not
    fit."""
    registry = discover(folder, package=None)
    if not registry.tools:
        raise InvalidInput(f"{folder} holds no tools: each is a folder with a tool.py")
    clash = sorted(set(registry.tools) & set(PROFILES))
    if clash:
        raise InvalidInput(f"the simulator has profiles of its own called {', '.join(clash)}")
    inputs = {name: _inputs(tool, folder / name / "chaos.json", seed) for name, tool in registry.tools.items()}
    own = {name: recorded(tool) for name, tool in registry.tools.items()}
    return Tools(own, inputs, _witness(folder / "witness.py"))


def _inputs(tool: Tool[Any, Any], examples: Path, seed: int) -> list[dict[str, Any]]:
    if examples.is_file():
        found = json.loads(examples.read_text(encoding="utf-8"))
    else:
        draw = random.Random(f"{seed}/{tool.name}")  # noqa: S311 - reproducible on purpose
        found = [sample(tool.input_model.model_json_schema(), draw) for _ in range(_INPUTS)]
    for given in found:
        try:
            tool.parse_input(given)
        except ApexError as error:
            raise InvalidInput(f"{tool.name} needs inputs in {examples}, a list of objects: {error.message}") from error
    return list(found)


def _witness(path: Path) -> Effects | None:
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("apex_chaos_witness", path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    effects = getattr(module, "effects", None)
    if not callable(effects):
        raise InvalidInput(f"{path} must define effects(tool, key)")
    return lambda tool, key: int(effects(tool, key))


def recorded(tool: Tool[Any, Any]) -> Tool[Any, Any]:
    """The same tool with the simulator's faults on the way to its functions; its contract is the original's."""
    contract = tool.contract
    made = copy.copy(tool)
    made.run = _run(tool, contract)
    undo, probe = tool.undo_function, tool.probe_function
    if undo is not None:
        made.undo_function = _undo(undo, contract)
    if probe is not None:
        made.probe_function = lambda typed, call: the_world().probe(call, lambda: probe(typed, call))
    return made


def _run(tool: Tool[Any, Any], contract: Contract) -> Callable[[Any, Call], Any]:
    def run(typed: Any, call: Call) -> Any:
        world = the_world()
        world.memory[f"called {call.key}"] = _Asked(tool, typed, call)
        if contract.transactional:
            world.write_row(call)
            return tool.run(typed, call)
        if contract.effect is Effect.NONE:
            return world.look_up(call, lambda: tool.run(typed, call))
        return world.apply(call, lambda: tool.run(typed, _in_time(call, contract)), contract.settles_within)

    return run


def _undo(undo: Callable[[Any, Any, Call], None], contract: Contract) -> Callable[[Any, Any, Call], None]:
    def run(typed: Any, result: Any, call: Call) -> None:
        world = the_world()
        if contract.transactional:
            world.delete_row(call)
            undo(typed, result, call)
        else:
            world.undo(call, lambda: undo(typed, result, call))

    return run


def _in_time(call: Call, contract: Contract) -> Call:
    """The call with time left: a request that was held up on the way is one that left in time."""
    return replace(call, deadline=max(call.deadline, call.now() + contract.timeout))
