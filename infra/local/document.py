"""The parts of docs/local-cloud.md that repeat what the code knows; ``python -m infra.docs`` writes them there."""

from collections.abc import Iterator

from infra.local.repairs.registry import all_repairs
from infra.local.resource_types import LOADED, SKIPPED
from infra.local.surroundings import PER_FUNCTION


def repairs() -> str:
    """Every repair and the defect it mends, as a table."""
    return "\n".join(["| repair | what is mended |", "|---|---|", *_repair_rows()])


def resource_types() -> str:
    """What is done with each type of resource, as a table."""
    loaded = [f"| `{name}` | loaded |" for name in sorted(LOADED)]
    skipped = [f"| `{name}` | left out: {reason} |" for name, reason in sorted(SKIPPED.items())]
    return "\n".join(["| type | what the local cloud does with it |", "|---|---|", *loaded, *skipped])


def variables() -> str:
    """The variables that functions do not have in threads mode, as a list."""
    return "\n".join(f"* `{name}`: {reason}" for name, reason in sorted(PER_FUNCTION.items()))


def _repair_rows() -> Iterator[str]:
    for repair in all_repairs():
        defect = repair.defect.rstrip(".").replace("|", "\\|")
        yield f"| `{repair.name}` | {defect[:1].lower()}{defect[1:]} |"
