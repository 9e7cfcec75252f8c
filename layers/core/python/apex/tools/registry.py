"""Finds the tools: one folder each, holding ``tool.py``. Nothing has to be registered by hand."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from apex.errors import InvalidInput, ToolNotFound
from apex.schema.contract import Contract
from apex.tools.sdk import Tool


@dataclass(frozen=True, slots=True)
class Registry:
    """All installed tools by name."""

    tools: Mapping[str, Tool[Any, Any]]

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The contracts by tool name: what planners and validation work with."""
        return MappingProxyType({name: tool.contract for name, tool in self.tools.items()})

    def __getitem__(self, name: str) -> Tool[Any, Any]:
        """The tool of that name; raises ``ToolNotFound``."""
        if name not in self.tools:
            raise ToolNotFound(f"there is no tool {name!r}; installed are: {', '.join(self.tools) or 'none'}")
        return self.tools[name]

    def __iter__(self) -> Iterator[Tool[Any, Any]]:
        return iter(self.tools.values())


def discover(folder: Path, package: str | None = "functions.tools") -> Registry:
    """Import every ``<folder>/<tool>/tool.py`` and collect its tool; the names are sorted, so that every process
    agrees.

    ``package`` is the dotted name of the folder, or None for tools that live outside any package. Raises
    ``InvalidInput`` where a file does not define exactly one tool, or one whose name is not that of its folder.
    """
    tools: dict[str, Tool[Any, Any]] = {}
    for path in sorted(folder.glob("*/tool.py")):
        name = path.parent.name
        module = importlib.import_module(f"{package}.{name}.tool") if package else _load(path)
        found = [value for value in vars(module).values() if isinstance(value, Tool)]
        if len(found) != 1:
            raise InvalidInput(f"{path} must define exactly one tool, it defines {len(found)}")
        if found[0].name != name:
            raise InvalidInput(f"{path} defines the tool {found[0].name!r}; the folder must have the same name")
        found[0].contract  # noqa: B018 - a contradictory contract is reported now, not when a plan first uses it
        tools[name] = found[0]
    return Registry(MappingProxyType(tools))


def _load(path: Path) -> ModuleType:
    name = f"apex_tool_{path.parent.name}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
