"""Puts a message into the outbox, from which it can be taken back until it is mailed."""

from datetime import timedelta

from pydantic import Field

from apex.app.step_handler import serve
from apex.tools import Call, Effect, Input, Lane, Output, UndoOfAbsent, tool


class Message(Input):
    to: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    subject: str
    body: str


class Queued(Output):
    message_id: str


@tool(
    description="Queue a confirmation e-mail in the outbox.",
    examples=('Send "your order is confirmed" to ana@example.com', 'Email "see you soon" to bob@example.com'),
    lane=Lane.YELLOW,
    effect=Effect.REVERSIBLE,
    transactional=True,
    undo_of_absent=UndoOfAbsent.TOLERATES,
    timeout=timedelta(seconds=5),
    tables=("records",),
)
def send_confirmation(message: Message, call: Call) -> Queued:
    call.put_record("records", f"outbox#{call.key}", message.model_dump())
    return Queued(message_id=call.key)


@send_confirmation.undo
def withdraw_confirmation(message: Message, queued: Queued | None, call: Call) -> None:
    call.delete_record("records", f"outbox#{call.run_key}")


handler = serve(send_confirmation)
