"""Creates a record of our own: the row and the ledger change are one transaction, so it exists exactly once."""

from datetime import timedelta

from pydantic import Field, JsonValue

from apex.app.step_handler import serve
from apex.tools import Call, Effect, Input, Lane, Output, UndoOfAbsent, tool


class Record(Input):
    collection: str = Field(pattern="^[a-z][a-z0-9_]*$")
    data: dict[str, JsonValue]


class Created(Output):
    record_id: str
    collection: str


@tool(
    description="Create a record in a collection of the tenant's database.",
    examples=('Create a note "buy milk"', 'Create a reminder "call the bank" for Friday'),
    lane=Lane.GREEN,
    effect=Effect.REVERSIBLE,
    transactional=True,
    undo_of_absent=UndoOfAbsent.TOLERATES,
    timeout=timedelta(seconds=5),
    tables=("records",),
)
def create_record(record: Record, call: Call) -> Created:
    call.put_record("records", f"{record.collection}#{call.key}", record.data)
    return Created(record_id=call.key, collection=record.collection)


@create_record.undo
def delete_record(record: Record, created: Created | None, call: Call) -> None:
    call.delete_record("records", f"{record.collection}#{call.run_key}")


handler = serve(create_record)
