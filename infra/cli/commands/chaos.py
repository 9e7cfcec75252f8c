"""``apex chaos``: shows that the promise holds when things break."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.console import err, out, print_document, say
from infra.cli.options import AsJson

if TYPE_CHECKING:
    from infra.chaos.own_tools import Tools
    from infra.chaos.programs import Program
    from infra.chaos.run import Findings


def chaos(
    programs: Annotated[int, typer.Option(min=1, help="How many programs to generate and run.")] = 500,
    seed: Annotated[
        int, typer.Option(help="The same seed makes the same programs, and each takes the same course.")
    ] = 1,
    only: Annotated[
        int | None,
        typer.Option(min=0, metavar="INDEX", show_default=False, help="Run the program of that number alone."),
    ] = None,
    program: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Run the program in this file; - is standard input."),
    ] = None,
    exhaustive: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=False,
            help="Every N-th of all single and double faults, for all shapes of plans up to four steps; 1 takes hours.",
        ),
    ] = None,
    tools: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            show_default=False,
            help="Try the tools in this folder: their own functions run, in one process; docs/reliability.md says how.",
        ),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Among how many processes to share the programs.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Run generated plans under generated faults, and check every promise after each.

    The application's own code runs: use cases, store, state machines. Time, tables and providers are simulated; the
    providers keep a ledger of their own, which is the witness. A program that breaks a promise is made as small as it
    goes and printed with the command that repeats it. Exits with 0 where every promise held, else with 1.

    [bold]Examples[/bold]

    apex chaos --programs 10000 --seed 1 --json

    apex chaos --seed 1 --only 4711
    """
    from infra.chaos.own_tools import Tools, load
    from infra.chaos.run import run_exhaustive, run_generated, run_own

    given = Tools() if tools is None else load(tools, seed)
    if program is not None or only is not None:
        findings, seconds = _run_one(program, seed, only or 0, given)
    elif tools is not None:
        findings, seconds = run_own(given, seed, programs)
    elif exhaustive is not None:
        findings, seconds = run_exhaustive(every=exhaustive, processes=processes)
    else:
        findings, seconds = run_generated(seed, programs, processes=processes)
    document = findings.document(seed, seconds)
    if as_json:
        print_document(document)
    else:
        _print(document)
    _tell_smallest(findings, seed, given)
    if findings.violations:
        raise typer.Exit(1)


def _read(file: Path, tools: "Tools") -> "Program":
    import sys

    from apex.errors import InvalidInput
    from infra.chaos.programs import Program

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error
    return Program.from_json(text, tools.own)


def _run_one(file: Path | None, seed: int, index: int, tools: "Tools") -> "tuple[Findings, float]":
    import time

    from infra.chaos.programs import generate
    from infra.chaos.run import run_programs

    began = time.monotonic()
    program = generate(seed, index, tools.contracts) if file is None else _read(file, tools)
    findings = run_programs([(index, program)], tools)
    return findings, time.monotonic() - began


def _print(document: dict[str, Any]) -> None:
    from rich.table import Table

    console = out()
    faults = Table("fault", "struck", title="Faults", title_justify="left")
    for name, times in document["faults_fired"].items():
        faults.add_row(name, str(times), style="" if times else "yellow")
    console.print(faults)
    checks = Table("invariant", "checked", title="Invariants", title_justify="left")
    for number, times in document["invariants_checked"].items():
        checks.add_row(number, str(times))
    console.print(checks)
    endings = ", ".join(f"{times} {mode}" for mode, times in document["endings"].items())
    say(console, f"{document['programs']} programs in {document['seconds']} s: {endings}.")
    verdict = f"{document['violations']} violations" if document["violations"] else "Every promise held."
    say(console, verdict, "bold red" if document["violations"] else "bold green")


def _tell_smallest(findings: "Findings", seed: int, tools: "Tools") -> None:
    """The first violating program, as small as it goes, on standard error."""
    from infra.chaos.run import run_program
    from infra.chaos.shrink import shrink

    if not findings.violating:
        return
    index, program, _ = findings.violating[0]

    def breaks(candidate: "Program") -> frozenset[int]:
        return frozenset(found.invariant for found in run_program(candidate, tools)[1].violations)

    smallest = shrink(program, breaks)
    console = err()
    for found in run_program(smallest, tools)[1].violations[:5]:
        say(console, f"Invariant {found.invariant} is broken: {found.what}", "red")
    say(console, f"Again: apex chaos --seed {seed} --only {index}")
    say(console, f"As small as it goes, for --program FILE:\n{smallest.to_json()}")
