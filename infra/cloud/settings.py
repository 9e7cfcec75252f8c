"""What one deployment of the stack is called and where its sources are."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from apex.errors import InvalidInput

REPOSITORY = Path(__file__).resolve().parents[2]
_ENVIRONMENT_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")


@dataclass(frozen=True)
class Settings:
    """One environment: its name, and the folders the stack is built from.

    ``root`` holds ``functions/``, ``layers/`` and ``statemachines/``; ``build`` receives the staged code bundles.
    Raises ``InvalidInput`` for a name that would not fit into the physical names of every resource.
    """

    env: str = "dev"
    root: Path = REPOSITORY
    build: Path = field(default=REPOSITORY / ".build")

    def __post_init__(self) -> None:
        if not _ENVIRONMENT_NAME.fullmatch(self.env):
            raise InvalidInput(f"environment name {self.env!r} is not 1 to 12 lower-case letters and digits")

    @classmethod
    def from_environment(cls) -> "Settings":
        """The settings that the process environment describes: APEX_ENV, APEX_HOUSE and APEX_BUILD."""
        root = Path(os.environ.get("APEX_HOUSE", REPOSITORY)).resolve()
        return cls(
            env=os.environ.get("APEX_ENV", "dev"),
            root=root,
            build=Path(os.environ.get("APEX_BUILD", root / ".build")).resolve(),
        )

    @property
    def prefix(self) -> str:
        """What every physical name starts with, for instance ``apex-dev``."""
        return f"apex-{self.env}"

    @property
    def disposable(self) -> bool:
        """Whether data may go when the stack goes: only in development environments."""
        return self.env.startswith("dev")

    @property
    def functions(self) -> Path:
        """The folder with one folder per handler."""
        return self.root / "functions"

    @property
    def tools(self) -> Path:
        """The folder with one folder per tool."""
        return self.root / "functions" / "tools"

    @property
    def statemachines(self) -> Path:
        """The folder with the state machine definitions."""
        return self.root / "statemachines"

    def function_name(self, name: str) -> str:
        """Physical name of the function in the folder ``functions/<name>``."""
        return f"{self.prefix}-{name.replace('_', '-')}"

    @property
    def tool_prefix(self) -> str:
        """What the physical names of all tool functions start with; the tool's own name follows verbatim."""
        return f"{self.prefix}-tool-"

    def machine_name(self, name: str) -> str:
        """Physical name of the state machine in ``statemachines/<name>.asl.json``."""
        return f"{self.prefix}-{name.replace('_', '-')}"


def camel(name: str) -> str:
    """``find_plan`` as ``FindPlan``: how folders appear in logical ids, outputs and substitutions."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[_-]+", name))
