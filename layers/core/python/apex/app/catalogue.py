"""The installed tools and what is known about planning with them, loaded once per process."""

import importlib
from functools import cache
from pathlib import Path

from apex.planning.library import PlanLibrary, load_library
from apex.planning.unplanned import NoPlanner
from apex.ports import Planner
from apex.tools.registry import Registry, discover


@cache
def tools_folder() -> Path:
    """Where the tools are: beside the running function's code."""
    # By name: the library does not depend on the functions, only those that plan or list carry the tools beside it.
    return Path(importlib.import_module("functions.tools").__path__[0])


@cache
def registry() -> Registry:
    """All installed tools."""
    return discover(tools_folder())


@cache
def library() -> PlanLibrary:
    """The worked examples that the tools declare."""
    return load_library(tools_folder(), registry())


@cache
def planner() -> Planner:
    """The configured planner. None is configured yet: it says what to do instead."""
    return NoPlanner(library())
