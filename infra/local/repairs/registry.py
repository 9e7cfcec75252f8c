"""Every repair of the local cloud, found from the modules of this package."""

import importlib
import pkgutil
from contextlib import ExitStack

import infra.local.repairs as package
from infra.local.lean import import_cloudformation
from infra.local.repairs import Repair


def all_repairs() -> tuple[Repair, ...]:
    """All repairs in the order they are installed: by module name, within a module as listed there."""
    import_cloudformation()
    found: list[Repair] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        found.extend(getattr(importlib.import_module(f"{package.__name__}.{module}"), "REPAIRS", ()))
    return tuple(found)


def install_all() -> ExitStack:
    """Install every repair; closing the returned stack takes them back, the last one first."""
    with ExitStack() as undo:
        for repair in all_repairs():
            undo.callback(repair.install())
        return undo.pop_all()
