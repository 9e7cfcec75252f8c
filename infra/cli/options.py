"""The options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_TENANT = "local"

AsJson = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON document on standard output, and nothing else there.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="APEX_DATA",
        metavar="DIR",
        show_default=False,
        help="Keep everything in this directory; it is made when it is missing.",
    ),
]
StoredData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="APEX_DATA",
        metavar="DIR",
        show_default=False,
        help="The directory that the workflow was run with. It may be in use: nothing is locked or changed.",
    ),
]
Tenant = Annotated[str, typer.Option("--tenant", metavar="TENANT", help="Whose workflows these are.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what the handlers log, on standard error.")]
