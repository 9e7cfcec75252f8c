"""Writes the parts of docs/ that repeat what the code knows: ``python -m infra.docs [PART ...] [--check]``.

A generated part stands between two marker comments of its document; what is outside them is written by hand. With
``--check`` nothing is written, and the exit code says whether a part is out of date.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apex.errors import ApexError, InvalidInput, all_errors
from apex.schema.ledger import EffectState
from apex.workflow.transitions import TRANSITIONS
from infra.chaos.report import faults_and_invariants

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Part:
    """One generated part: the document it stands in, from the root of the repository, and what writes it."""

    document: str
    write: Callable[[], str]


def errors() -> str:
    """Every error as a section under its code, in the order of the codes; codes never repeat."""
    return "\n\n".join(_error(cls) for cls in sorted(all_errors(), key=lambda cls: cls.code))


def _error(cls: type[ApexError]) -> str:
    kinds = [parent.__name__ for parent in cls.__mro__ if issubclass(parent, ApexError) and parent is not cls]
    return "\n".join(
        [
            f"### {cls.code} {cls.__name__}",
            "",
            f"* **Kind of:** {' → '.join(kinds) or 'none; it is the root'}",
            f"* **Cause:** {cls.cause}",
            f"* **Remedy:** {cls.remedy}",
        ]
    )


def transitions() -> str:
    """The ledger's transition table, drawn and then listed."""
    return "\n".join([*_picture(), "", *_table()])


def _picture() -> Iterator[str]:
    arrows: dict[tuple[str, str], list[str]] = {}
    for change in TRANSITIONS:
        source = "[*]" if change.source is EffectState.NONE else change.source.value
        triggers = arrows.setdefault((source, change.target.value), [])
        if change.trigger.value not in triggers:
            triggers.append(change.trigger.value)
    yield "```mermaid"
    yield "stateDiagram-v2"
    for (source, target), triggers in arrows.items():
        yield f"    {source} --> {target}: {', '.join(triggers)}"
    yield "```"


def _table() -> Iterator[str]:
    yield "| from | on | to | by | on condition that |"
    yield "|---|---|---|---|---|"
    for change in TRANSITIONS:
        source = "(nothing)" if change.source is EffectState.NONE else change.source.value
        yield f"| {source} | {change.trigger.value} | {change.target.value} | {change.actor} | {change.condition} |"


def _of_local_cloud(name: str) -> Callable[[], str]:
    def write() -> str:
        from infra.local import document  # imports moto, which takes a second that the other parts need not wait for

        part: Callable[[], str] = getattr(document, name)
        return part()

    return write


PARTS: Mapping[str, Part] = {
    "errors": Part("docs/errors.md", errors),
    "transitions": Part("docs/reliability.md", transitions),
    "faults": Part("docs/reliability.md", faults_and_invariants),
    "repairs": Part("docs/local-cloud.md", _of_local_cloud("repairs")),
    "resource types": Part("docs/local-cloud.md", _of_local_cloud("resource_types")),
    "variables": Part("docs/local-cloud.md", _of_local_cloud("variables")),
}


def refresh(name: str, text: str, part: Part) -> str:
    """``text``, the document of the part ``name``, with what is between its markers written anew.

    Raises ``InvalidInput`` when the document does not hold the pair of markers exactly once.
    """
    begin, end = f"<!-- generated: {name} (make docs) -->", f"<!-- end: {name} -->"
    pair = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    # A function as the replacement: what the code knows may hold backslashes, which a template would interpret.
    fresh, places = pair.subn(lambda _: f"{begin}\n\n{part.write()}\n\n{end}", text)
    if places != 1:
        raise InvalidInput(f"{part.document} needs the markers '{begin}' and '{end}' exactly once")
    return fresh


def main(arguments: Sequence[str] = ()) -> int:
    """Write the parts named, or all, or with ``--check`` compare them; answers the exit code."""
    names = [argument for argument in arguments if argument != "--check"] or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    stale = [name for name in names if not _keep("--check" in arguments, name, PARTS[name])]
    for name in stale:
        print(f"{PARTS[name].document}: the part '{name}' is out of date; `make docs` writes it again", file=sys.stderr)
    return int(bool(stale))


def _keep(only_check: bool, name: str, part: Part) -> bool:
    path = ROOT / part.document
    written = path.read_text(encoding="utf-8")
    fresh = refresh(name, written, part)
    if fresh != written and not only_check:
        path.write_text(fresh, encoding="utf-8")
    return fresh == written or not only_check


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
