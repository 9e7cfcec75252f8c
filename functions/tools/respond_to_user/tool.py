"""Gives the user an answer: it becomes the workflow's result."""

from apex.app.step_handler import serve
from apex.tools import Call, Effect, Input, Lane, Output, tool


class Message(Input):
    message: str


class Answer(Output):
    message: str


@tool(
    description="Answer the user in words; the answer becomes the result of the workflow.",
    examples=('Say "hello"', 'Answer "all is well"'),
    lane=Lane.GREEN,
    effect=Effect.NONE,
)
def respond_to_user(message: Message, call: Call) -> Answer:
    return Answer(message=message.message)


handler = serve(respond_to_user)
