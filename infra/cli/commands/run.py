"""``apex run``: one goal, from the words to the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console

from apex.errors import InvalidInput
from infra.cli.console import err, print_document, say
from infra.cli.options import DEFAULT_TENANT, AsJson, DataDir, Tenant, Verbose

if TYPE_CHECKING:
    from apex.app.submit import Goal
    from apex.schema.plan import Plan


class Isolation(StrEnum):
    """Where handlers run."""

    THREADS = "threads"
    PROCESSES = "processes"


def run(  # noqa: PLR0913, PLR0917 - its parameters are the options
    goal: Annotated[str, typer.Argument(metavar="GOAL", show_default=False, help="What is to be done, in words.")],
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Run this plan (see `apex plan --help`); - is standard input."),
    ] = None,
    fail: Annotated[
        str | None,
        typer.Option("--fail", metavar="STEP", help="Have a step, by id or by tool, refused on every attempt."),
    ] = None,
    data: DataDir = None,
    tenant: Tenant = DEFAULT_TENANT,
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Who asks.")] = "me",
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="KEY",
            show_default="a new one",
            help="Idempotency key: the same key again, with the same --data, is the same workflow.",
        ),
    ] = None,
    isolation: Annotated[
        Isolation, typer.Option("--isolation", help="Run handlers in threads, or in processes that can be killed.")
    ] = Isolation.THREADS,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Carry out a goal on this machine and watch it.

    Steps that can run at the same time do. When one fails for good, everything done before is undone in reverse order.

    [bold]Examples[/bold]

    apex run "Book a flight to Paris tomorrow, reserve a hotel near the Eiffel Tower and charge \\$900 to my card"

    apex run --fail reserve_hotel "Book a flight to Rome tomorrow and reserve a hotel near the Colosseum"

    apex run --plan plan.json --data ./apex-data --key order-17 --json "What the plan is for"
    """
    from apex.app.submit import DEFAULT_DEADLINE, Goal
    from infra.cli.outcomes import outcome, print_outcome, progress
    from infra.cli.plans import read_plan
    from infra.cli.report import exit_code
    from infra.cli.sessions import open_session

    plan = None if plan_file is None else read_plan(plan_file)
    injector = None if fail is None else _injector(fail, plan, isolation)
    asked = Goal(tenant, user, goal, key or str(uuid4()), plan=plan)
    console = err()
    with (
        _told_when_interrupted(console, asked, data),
        open_session(console, data, isolation=isolation.value, injector=injector, verbose=verbose) as session,
    ):
        submitted = session.submit(asked)
        with progress(console, quiet=as_json) as show:
            head = session.wait(submitted.head.ref, timeout=DEFAULT_DEADLINE, on_event=show)
        told, record = outcome(session, head.ref, counted=submitted.created)
    _say_what_did_not_happen(console, told, fail, created=submitted.created)
    if as_json:
        print_document(told)
    else:
        print_outcome(record, told)
    raise typer.Exit(exit_code(head.mode))


def _injector(fail: str, plan: "Plan | None", isolation: Isolation) -> Any:
    if isolation is Isolation.PROCESSES:
        raise InvalidInput("--fail reaches handlers in threads only: leave --isolation processes out")
    if plan is not None and not any(fail in (step.id, step.tool) for step in plan.steps):
        raise InvalidInput(f"--fail {fail}: the plan has no such step or tool")
    from infra.local.session import failing

    return failing(fail)


@contextmanager
def _told_when_interrupted(console: Console, asked: "Goal", data: Path | None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if data is None:
            say(console, "Interrupted. Nothing was kept of the workflow: run with --data DIR to be able to go on.")
        else:
            say(console, f"Interrupted. The same command with --data {data} --key {asked.idempotency_key} goes on.")
        raise


def _say_what_did_not_happen(console: Console, told: dict[str, Any], fail: str | None, *, created: bool) -> None:
    if not created:
        say(console, "This key was used before: this is that workflow, as it stands.")
    if fail is None or told["plan"] is None:
        return
    steps = told["plan"]["steps"]
    if not any(fail in (step["id"], step["tool"]) for step in steps):
        names = ", ".join(f"{step['id']} {step['tool']}" for step in steps)
        say(console, f"--fail {fail} did nothing: the plan has no such step or tool, only {names}.", "yellow")
