"""The verbs of operators: what a person decides about a workflow that needs one.

Each is kept in the workflow's journal with who decided and why. Most only write; ``compensate``, ``resume`` and
``fork`` start an execution and wait for its end.
"""

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from apex.errors import InvalidInput, NotFound
from infra.cli.commands.show import WorkflowId
from infra.cli.console import err, print_document
from infra.cli.options import DEFAULT_TENANT, AsJson, Tenant

if TYPE_CHECKING:
    from apex.app.house import House
    from apex.app.operate import Operator
    from apex.schema.ids import WorkflowRef
    from apex.schema.ledger import Head
    from infra.local.session import LocalSession

    Decide = Callable[[House, WorkflowRef, Operator], Head]


def _user() -> str:
    return getpass.getuser()


StepId = Annotated[str, typer.Argument(metavar="STEP", show_default=False, help="The step's id, as in the plan.")]
Why = Annotated[
    str, typer.Option("--why", metavar="REASON", show_default=False, help="For what reason; it is kept in the journal.")
]
By = Annotated[
    str,
    typer.Option("--by", metavar="WHO", default_factory=_user, show_default="you", help="Who decides; kept as well."),
]
KeptData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="APEX_DATA",
        metavar="DIR",
        show_default=False,
        help="The directory that the workflow was run with; nothing else may be using it.",
    ),
]


def retry_step(
    workflow: WorkflowId,
    step: StepId,
    why: Why,
    by: By,
    data: KeptData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Put a step that was undone, fenced or rejected back to its beginning; `apex resume` then runs it anew.

    [bold]Example[/bold]

    apex retry-step 1447 s5 --why "the card's limit was raised" --data ./apex-data
    """
    from apex.app import operate

    _write(workflow, by, why, data, tenant, as_json, lambda house, ref, who: operate.retry_step(house, ref, step, who))


def skip_step(
    workflow: WorkflowId,
    step: StepId,
    why: Why,
    by: By,
    data: KeptData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Let a step count as done without running it.

    [bold]Example[/bold]

    apex skip-step 1447 s6 --why "the customer was told on the phone" --data ./apex-data
    """
    from apex.app import operate

    _write(workflow, by, why, data, tenant, as_json, lambda house, ref, who: operate.skip_step(house, ref, step, who))


def mark_applied(
    workflow: WorkflowId,
    step: StepId,
    why: Why,
    by: By,
    result: Annotated[
        str | None,
        typer.Option("--result", metavar="JSON", show_default=False, help="The step's result, where it is known."),
    ] = None,
    data: KeptData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Say that the effect of an unknown or parked step exists.

    [bold]Example[/bold]

    apex mark-applied 1447 s4 --why "the hotel confirmed it on the phone" --data ./apex-data
    """
    from apex.app import operate

    given = None if result is None else _result(result)
    _write(
        workflow,
        by,
        why,
        data,
        tenant,
        as_json,
        lambda house, ref, who: operate.mark_applied(house, ref, step, who, given),
    )


def mark_not_applied(
    workflow: WorkflowId,
    step: StepId,
    why: Why,
    by: By,
    data: KeptData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Say that the effect of an unknown or parked step does not exist.

    [bold]Example[/bold]

    apex mark-not-applied 1447 s4 --why "the hotel has no such reservation" --data ./apex-data
    """
    from apex.app import operate

    _write(
        workflow,
        by,
        why,
        data,
        tenant,
        as_json,
        lambda house, ref, who: operate.mark_not_applied(house, ref, step, who),
    )


def abandon(
    workflow: WorkflowId,
    why: Why,
    by: By,
    data: KeptData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Accept what is left of a parked workflow; nobody is asked about it any more.

    [bold]Example[/bold]

    apex abandon 1447 --why "written off" --data ./apex-data
    """
    from apex.app import operate

    _write(workflow, by, why, data, tenant, as_json, operate.abandon)


def compensate(
    workflow: WorkflowId,
    why: Why,
    by: By,
    data: KeptData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Undo everything that a workflow did, also a completed one; what was parked is tried once more.

    [bold]Example[/bold]

    apex compensate 1447 --why "the customer withdrew" --data ./apex-data
    """
    from apex.app import operate

    _run(workflow, by, why, data, tenant, as_json, operate.compensate)


def resume(
    workflow: WorkflowId,
    why: Why,
    by: By,
    data: KeptData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Go on with a workflow that stopped. What is done is not repeated.

    One whose process was killed just goes on. In one that failed, the steps that are to run again are first put back
    with `apex retry-step`, or skipped, or marked.

    [bold]Example[/bold]

    apex resume 1447 --why "the card's limit was raised" --data ./apex-data
    """
    _run(workflow, by, why, data, tenant, as_json, _resume)


def fork(  # noqa: PLR0913, PLR0917 - its parameters are the options
    workflow: WorkflowId,
    at: Annotated[
        str,
        typer.Option("--from", metavar="STEP", show_default=False, help="The first step to run anew, as in the plan."),
    ],
    why: Why,
    by: By,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Go on with this plan; - is standard input.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", show_default="a new one", help="The same key again is the same fork."),
    ] = None,
    data: KeptData = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Start a new workflow from an old one: what was confirmed before a step is used, the rest runs anew.

    [bold]Example[/bold]

    apex fork 1447 --from s5 --plan cheaper.json --why "another card" --data ./apex-data
    """
    from apex.app.catalogue import registry
    from apex.app.fork import fork as fork_workflow
    from infra.cli.plans import read_plan

    plan = None if plan_file is None else read_plan(plan_file)
    named = key or str(uuid4())

    def decide(house: "House", ref: "WorkflowRef", who: "Operator") -> "Head":
        return fork_workflow(house, registry(), ref, at, who, plan=plan, key=named)

    _run(workflow, by, why, data, tenant, as_json, decide)


# ── how a decision is carried out ───────────────────────────────────────────────────────────────────────────


def _resume(house: "House", ref: "WorkflowRef", who: "Operator") -> "Head":
    from apex.app import operate
    from apex.app.janitor import look_after
    from apex.schema.ledger import Mode

    if house.store.head(ref).mode in (Mode.RUNNING, Mode.ROLLING_BACK):
        # Executions end with their process: it only needs one again, and nothing has to be decided.
        look_after(house, ref, unstarted_after=timedelta(0))
        return house.store.head(ref)
    return operate.resume(house, ref, who)


def _write(workflow: str, by: str, why: str, data: Path | None, tenant: str, as_json: bool, decide: "Decide") -> None:
    from infra.cli.outcomes import outcome, print_outcome

    with _decided(workflow, by, why, data, tenant, decide) as (session, head):
        told, record = outcome(session, head.ref, counted=False)
    if as_json:
        print_document(told)
    else:
        print_outcome(record, told)


def _run(workflow: str, by: str, why: str, data: Path | None, tenant: str, as_json: bool, decide: "Decide") -> None:
    from apex.app.submit import DEFAULT_DEADLINE
    from infra.cli.outcomes import outcome, print_outcome, progress
    from infra.cli.report import exit_code

    with _decided(workflow, by, why, data, tenant, decide) as (session, decided):
        with progress(err(), quiet=as_json) as show:
            head = session.wait(decided.ref, timeout=DEFAULT_DEADLINE, on_event=show)
        told, record = outcome(session, head.ref, counted=False)
    if as_json:
        print_document(told)
    else:
        print_outcome(record, told)
    raise typer.Exit(exit_code(head.mode))


@contextmanager
def _decided(
    workflow: str, by: str, why: str, data: Path | None, tenant: str, decide: "Decide"
) -> "Iterator[tuple[LocalSession, Head]]":
    """A running system on the data directory, in which the decision is written. Other workflows are let be."""
    from apex.app.operate import Operator
    from infra.cli.reading import find_workflow
    from infra.cli.sessions import open_session
    from infra.local.store import FILE_NAME

    who = Operator(by=by, why=why)
    if data is None:
        raise InvalidInput("say where the workflow is: --data DIR, or the variable APEX_DATA")
    if not (data / FILE_NAME).is_file():
        raise NotFound(f"there is no data in {data}")
    with open_session(err(), data, carries_on=False) as session:
        yield session, decide(session.house, find_workflow(session.house.store, tenant, workflow), who)


def _result(text: str) -> dict[str, Any]:
    try:
        result = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"--result is not JSON: {error}") from error
    if not isinstance(result, dict):
        raise InvalidInput("--result is not a JSON object")
    return result
