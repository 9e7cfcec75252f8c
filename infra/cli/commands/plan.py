"""``apex plan``: plans as files."""

from pathlib import Path
from typing import Annotated

import typer

from apex.errors import SchemaInvalid
from infra.cli.console import out, print_document
from infra.cli.errors import USAGE
from infra.cli.options import AsJson

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def plan() -> None:
    """Look at plans without running them.

    A plan is JSON: {"steps": [{"id": "s1", "tool": "search_flights",
    "input": {"destination": "Paris", "date": "2030-05-01"}}, {"id": "s2", "tool": "book_flight",
    "depends_on": ["s1"], "input": {"flight_id": "{{s1.flight_id}}", "passenger": "Ana"}}]}.
    An input may refer to results of the steps in depends_on.
    """


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The plan; - is standard input.")],
    as_json: AsJson = False,
) -> None:
    """Check a plan against the tools' contracts and the policy, and list every problem at once.

    Exits with 0 when it may run, with 2 when it may not.

    [bold]Example[/bold]

    apex plan validate plan.json
    """
    from infra.cli.plans import read_plan

    try:
        checked = read_plan(file)
    except SchemaInvalid as error:
        if not as_json:
            raise
        print_document({"valid": False, "problems": error.problems})
        raise typer.Exit(USAGE) from None
    if as_json:
        print_document({"valid": True, "problems": []})
    else:
        out().print(f"The plan is valid: {len(checked.steps)} steps.")
