"""Handlers in this process, each call on a worker thread with a deadline."""

import importlib
import threading
from collections.abc import Callable
from typing import Any

from infra.local.lambdas import Answer, AroundInvoke, Function, documents, logs
from infra.local.lambdas.context import Context
from infra.local.lambdas.workers import TookTooLong, Workers

Handler = Callable[[Any, Any], Any]


class ThreadInvoker:
    """Runs handlers on threads; events and results pass through the JSON rules of AWS's runtime."""

    def __init__(self, around: AroundInvoke | None = None, log_book: logs.LogBook | None = None) -> None:
        self._around = around
        self._logs = log_book or logs.LogBook()
        self._workers = Workers()
        self._handlers: dict[str, Handler] = {}
        self._loading = threading.Lock()

    def invoke(self, function: Function, payload: str) -> Answer:
        """Run the handler; on an overrun the caller sees a timeout while the thread goes on."""
        handler = self._handlers.get(function.handler) or self._load(function.handler)
        if isinstance(handler, Answer):
            return handler
        context = Context(function)

        def call() -> Answer:
            return self._call(function, handler, payload, context)

        try:
            answer: Answer = self._workers.run(call, context.remaining_seconds())
        except TookTooLong:
            return documents.timed_out(context.aws_request_id, function.timeout)
        return answer

    def busy(self) -> int:
        """How many handlers run now, zombies included."""
        return self._workers.busy()

    def close(self) -> None:
        """Let the threads go; a zombie that wakes up later reaches no AWS client any more."""
        self._workers.close()

    def _call(self, function: Function, handler: Handler, payload: str, context: Context) -> Answer:
        def handle(event: Any) -> Any:
            if self._around is None:
                return handler(event, context)
            return self._around(function.name, event, lambda changed: handler(changed, context))

        with logs.page(self._logs, function.name):
            return documents.answer_of(function, handle, payload, context.aws_request_id)

    def _load(self, name: str) -> Handler | Answer:
        """The handler function, or the answer every call gets while it cannot be loaded."""
        module_name, _, attribute = name.rpartition(".")
        with self._loading:
            try:
                module = importlib.import_module(module_name)
                handler: Handler = getattr(module, attribute)
            except ImportError as error:
                text = f"Unable to import module '{module_name}': {error}"
                return documents.fault("Runtime.ImportModuleError", text, "")
            except SyntaxError as error:
                text = f"Syntax error in module '{module_name}': {error}"
                return documents.fault("Runtime.UserCodeSyntaxError", text, "")
            except AttributeError:
                text = f"Handler '{attribute}' missing on module '{module_name}'"
                return documents.fault("Runtime.HandlerNotFound", text, "")
            except Exception as error:  # noqa: BLE001 - whatever a module raises is why it cannot be loaded
                return documents.raised(error, "")
            self._handlers[name] = handler
        return handler
