"""How a tool is written: one typed function, decorated with its contract, and optionally its undo and its probe.

    @tool(description="Book a seat on a flight.", effect=Effect.REVERSIBLE, undo_of_absent=UndoOfAbsent.FENCES, ...)
    def book_flight(order: Order, call: Call) -> Booking: ...

    @book_flight.undo
    def cancel_flight(order: Order, booking: Booking | None, call: Call) -> None: ...

    @book_flight.probe
    def find_booking(order: Order, call: Call) -> Probe[Booking]: ...

    handler = serve(book_flight)  # the Lambda entry point, from apex.app

The function's name is the tool's name, the undo's name is the compensation's name, and the JSON Schemas come from the
types. A type checker refuses an undo or a probe that does not fit the function it belongs to.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Generic, Literal, Self, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError

from apex.errors import InvalidInput, SchemaInvalid, ToolError, ToolRejected
from apex.ports.store import RecordWrite
from apex.schema.contract import Contract
from apex.schema.wire import problems_of


class Input(BaseModel):
    """Base of a tool's input: unknown fields are refused, so that a planner's slip is seen before anything runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Output(BaseModel):
    """Base of a tool's result. A result that says ``ok: false`` or carries an error is a failure: raise instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")


I = TypeVar("I", bound=Input)  # noqa: E741 - input and output, as everywhere in typed function signatures
O = TypeVar("O", bound=Output)  # noqa: E741


@dataclass(frozen=True, slots=True)
class Probe(Generic[O]):
    """The answer to "did it happen?".

    ``APPLIED`` it did (``result`` where the provider can still tell it), ``NOT_SEEN`` not so far, ``NEVER`` it did
    not, and the provider will refuse this key from now on.
    """

    answer: Literal["APPLIED", "NOT_SEEN", "NEVER"]
    result: O | None = None

    @classmethod
    def applied(cls, result: O | None = None) -> Self:
        """It happened."""
        return cls("APPLIED", result)

    @classmethod
    def not_seen(cls) -> Self:
        """The provider does not know the key so far; a request under way may still land."""
        return cls("NOT_SEEN")

    @classmethod
    def never(cls) -> Self:
        """It did not happen, and cannot any more."""
        return cls("NEVER")


@dataclass(slots=True)
class Call:
    """One call of a tool: whose it is, the key it must hand to the provider, and how long it may take."""

    tenant: str
    workflow_id: str
    step_id: str
    key: str
    """Idempotency key of this direction (run or undo); the same on every attempt."""
    run_key: str
    """Key under which the effect was, or would have been, applied: undo and probe look for it."""
    attempt: int
    deadline: datetime
    """The tool must have answered by then."""
    trace_id: str = ""
    """Ties together everything that happens for one goal, also at the providers that take such an id."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    read_record: Callable[[str, str, str], dict[str, Any] | None] | None = None
    """Reads a row: (table, tenant, key)."""
    records: list[RecordWrite] = field(default_factory=list)
    """Rows to be written together with the ledger change (transactional tools only)."""

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline, never below zero."""
        return max(0.0, (self.deadline - self.now()).total_seconds())

    def service_url(self, service: str) -> str:
        """Address of an outside service; raises ``ToolRejected`` where it is not configured."""
        name = f"APEX_SERVICE_{service.upper()}_URL"
        url = self.environment.get(name)
        if not url:
            raise ToolRejected(f"the address of the {service} service is not configured: set {name}")
        return url

    def put_record(self, table: str, key: str, item: dict[str, Any]) -> None:
        """Write a new row in the same transaction that confirms the step."""
        self.records.append(RecordWrite(table, self.tenant, key, item, must_be_new=True))

    def get_record(self, table: str, key: str) -> dict[str, Any] | None:
        """A row of this tenant, or None. Raises ``ToolRejected`` where there is no database."""
        if self.read_record is None:
            raise ToolRejected("this tool has no database to read from")
        return self.read_record(table, self.tenant, key)

    def delete_record(self, table: str, key: str) -> None:
        """Delete a row in the same transaction that records the compensation."""
        self.records.append(RecordWrite(table, self.tenant, key, None))


Run = Callable[[I, Call], O]
Undo = Callable[[I, O | None, Call], None]
ProbeFunction = Callable[[I, Call], Probe[O]]


class Tool(Generic[I, O]):
    """A tool: its contract, and the functions behind it."""

    def __init__(self, run: Run[I, O], declared: dict[str, Any]) -> None:
        self.name: str = run.__name__
        self.run = run
        self.undo_function: Undo[I, O] | None = None
        self.probe_function: ProbeFunction[I, O] | None = None
        self._declared = declared
        self.input_model, self.output_model = _models(run)

    @cached_property
    def contract(self) -> Contract:
        """The contract, complete once undo and probe are attached. Raises ``InvalidInput`` where it contradicts
        itself."""
        undo = self.undo_function
        try:
            return Contract(
                name=self.name,
                compensation=undo.__name__ if undo else None,
                can_probe=self.probe_function is not None,
                input_schema=self.input_model.model_json_schema(),
                output_schema=self.output_model.model_json_schema(mode="serialization"),
                **self._declared,
            )
        except ValidationError as error:
            raise SchemaInvalid(
                f"the contract of tool {self.name} does not hold together", problems_of(error)
            ) from error

    def undo(self, function: Undo[I, O]) -> Undo[I, O]:
        """Attach the function that takes the effect back. It must be safe to call twice with the same key."""
        self.undo_function = function
        return function

    def probe(self, function: ProbeFunction[I, O]) -> ProbeFunction[I, O]:
        """Attach the function that finds out whether the effect happened."""
        self.probe_function = function
        return function

    def parse_input(self, data: Any) -> I:
        """The typed input; raises ``SchemaInvalid`` with every problem, without repeating the values."""
        try:
            parsed: I = self.input_model.model_validate(data)
        except ValidationError as error:
            raise SchemaInvalid(f"the input does not fit {self.name}", problems_of(error)) from error
        return parsed

    def parse_result(self, data: Any) -> O | None:
        """The typed result as it was stored; None stays None."""
        return None if data is None else self.output_model.model_validate(data)

    def result_data(self, result: O) -> Any:
        """The result as JSON data. A result that reports failure is one: raises ``ToolError`` (its effect is
        unknown)."""
        if not isinstance(result, self.output_model):
            raise ToolError(
                f"{self.name} answered {type(result).__name__} where {self.output_model.__name__} was declared"
            )
        data = result.model_dump(mode="json")
        if data.get("success") is False or data.get("ok") is False or data.get("error"):
            raise ToolError(f"{self.name} reported failure in its result")
        return data


def tool(**declared: Any) -> Callable[[Run[I, O]], Tool[I, O]]:
    """Declare a tool; the keywords are the fields of ``Contract`` that cannot be derived."""

    def decorate(run: Run[I, O]) -> Tool[I, O]:
        return Tool(run, declared)

    return decorate


def _models(run: Callable[..., Any]) -> tuple[type[Any], type[Any]]:
    hints = get_type_hints(run)
    parameters = list(inspect.signature(run).parameters)
    name = run.__name__
    if len(parameters) != 2:
        raise InvalidInput(f"{name} must take its input and the call, in this order")
    given, answered = hints.get(parameters[0]), hints.get("return")
    if not (isinstance(given, type) and issubclass(given, Input)):
        raise InvalidInput(f"the first parameter of {name} must be annotated with a subclass of Input")
    if not (isinstance(answered, type) and issubclass(answered, Output)):
        raise InvalidInput(f"{name} must be annotated to return a subclass of Output")
    return given, answered
