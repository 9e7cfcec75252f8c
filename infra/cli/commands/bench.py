"""``apex bench``: measurements that anybody can repeat."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apex.errors import InvalidInput
from infra.cli.console import out, print_document, say
from infra.cli.options import AsJson

if TYPE_CHECKING:
    from infra.cli.plan_cache_bench import StreamResult

app = typer.Typer(no_args_is_help=True, help="Measure parts of the system.")


@app.callback()
def bench() -> None:
    """Measure parts of the system."""


@app.command("plan-cache")
def plan_cache(
    stream: Annotated[
        Path | None,
        typer.Option("--stream", metavar="FILE", exists=True, dir_okay=False, help="Goals, one JSON a line."),
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option("--pairs", metavar="FILE", exists=True, dir_okay=False, help="Adversarial pairs.")
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", dir_okay=False, help="Write what became of each request.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Unification only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send annotated goals through an empty plan cache and count the hits that are right.

    [bold]Example[/bold]

    apex bench plan-cache --stream goals.jsonl --json
    """
    from infra.cli.plan_cache_bench import read_records, run_pairs, run_stream

    if (stream is None) == (pairs is None):
        raise InvalidInput("give either --stream or --pairs")
    if pairs is not None:
        _tell(run_pairs(read_records(pairs), strict=strict), as_json=as_json)
    if stream is not None:
        result = run_stream(read_records(stream), strict=strict)
        if decisions is not None:
            _write(result, decisions)
        _tell(result.summary(), as_json=as_json)


def _write(result: "StreamResult", path: Path) -> None:
    lines = (json.dumps(decision, ensure_ascii=False) for decision in result.decisions)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _tell(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_document(summary)
        return
    width = max(map(len, summary))
    for name, value in summary.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        say(out(), f"{name:<{width}}  {shown}")
