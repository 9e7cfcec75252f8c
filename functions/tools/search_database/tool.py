"""Looks up one record; changes nothing."""

from pydantic import JsonValue

from apex.app.step_handler import serve
from apex.tools import Call, Effect, Input, Lane, Output, ToolRejected, tool


class Lookup(Input):
    collection: str
    key: str


class Found(Output):
    key: str
    name: str | None = None
    email: str | None = None
    card: str | None = None
    record: dict[str, JsonValue]


@tool(
    description="Look up a record by collection and key, such as the customer who asks (collection customers, key me).",
    examples=("Look up my customer record", 'Look up "42" in "orders"'),
    lane=Lane.GREEN,
    effect=Effect.NONE,
    tables=("records",),
)
def search_database(lookup: Lookup, call: Call) -> Found:
    record = call.get_record("records", f"{lookup.collection}#{lookup.key}")
    if record is None:
        raise ToolRejected(f"there is no record {lookup.key} in {lookup.collection}")
    known = {name: record[name] for name in ("name", "email", "card") if name in record}
    return Found(key=lookup.key, record=record, **known)


handler = serve(search_database)
