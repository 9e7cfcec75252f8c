"""``apex show``, ``apex events``, ``apex workflows``: what a data directory says, also while it is written to."""

from typing import Annotated

import typer

from infra.cli.console import out, print_document
from infra.cli.options import DEFAULT_TENANT, AsJson, StoredData, Tenant

WorkflowId = Annotated[
    str,
    typer.Argument(metavar="ID", show_default=False, help="The workflow's id, or enough of its beginning."),
]


def show(
    workflow: WorkflowId,
    at: Annotated[
        int | None,
        typer.Option("--at", metavar="SEQ", show_default=False, help="As it was after that event of its journal."),
    ] = None,
    data: StoredData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Show one workflow: its timeline, its effects and how it ended.

    [bold]Examples[/bold]

    apex show 1447 --data ./apex-data

    apex show 1447 --at 7 --data ./apex-data
    """
    from infra.cli.outcomes import print_outcome
    from infra.cli.reading import find_workflow, open_store
    from infra.cli.report import Record, detailed_report

    with open_store(data) as store:
        record = Record.read(store, find_workflow(store, tenant, workflow))
    if at is not None:
        record = record.at(at)
    told = detailed_report(record)
    if as_json:
        print_document(told)
    else:
        print_outcome(record, told)


def events(
    workflow: WorkflowId, data: StoredData = None, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False
) -> None:
    """List the journal of one workflow; with --json as it is stored.

    [bold]Example[/bold]

    apex events 1447 --data ./apex-data --json
    """
    from infra.cli.reading import find_workflow, open_store
    from infra.cli.render import event_line

    with open_store(data) as store:
        found = list(store.events(find_workflow(store, tenant, workflow)))
    if as_json:
        print_document([event.to_wire() for event in found])
        return
    console = out()
    for event in found:
        console.print(event_line(event), soft_wrap=True)


def workflows(
    data: StoredData = None,
    tenant: Tenant = DEFAULT_TENANT,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List workflows, newest first.

    [bold]Example[/bold]

    apex workflows --data ./apex-data --limit 10
    """
    from infra.cli.reading import open_store
    from infra.cli.render import Listed, workflows_view

    with open_store(data) as store:
        found = [Listed.read(store, head) for head in store.workflows(tenant, limit=limit)]
    if as_json:
        print_document([one.to_dict() for one in found])
    elif found:
        out().print(workflows_view(found))
    else:
        out().print(f"There are no workflows of tenant {tenant}.")
