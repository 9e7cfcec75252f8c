"""Structured logs: Powertools' Logger, with our fields on every line and nothing secret in any."""

import json
import logging
from functools import cache
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from apex.observability.context import bound_fields
from apex.observability.output import write_line
from apex.observability.redaction import redact

# Made by the formatter itself and known to be harmless; everything else on a line is searched for secrets.
_OWN_KEYS = ("level", "timestamp", "service", "location")


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Adds the bound fields to each line and redacts the rest, messages and exceptions included."""

    def serialize(self, log: Any) -> str:
        """One line of JSON. A bound field wins over one of the same name given to the log call."""
        line = {key: log.pop(key) for key in _OWN_KEYS if key in log}
        return str(self.json_serializer({**line, **redact(log), **bound_fields()}))


class _LineHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - logging must not break what it tells of
            # Not logging's own handleError: it would print the message and its arguments unredacted.
            where = f"{record.funcName}:{record.lineno}"
            said = {"level": "ERROR", "location": where, "message": "a log line could not be made"}
            line = json.dumps({**said, "error": type(error).__name__, **bound_fields()})
        write_line(line)


class _ServiceLogger(Logger):
    """Powertools' Logger under a name of our own.

    Powertools names the logger after the service and keeps the root logger from repeating whatever has that
    name in its own: a service called "api" would silence every library with "api" in its name. Ours does not
    propagate, so nothing is repeated and nothing needs to be silenced.
    """

    def _get_logger(self) -> logging.Logger:
        self._is_deduplication_disabled = True
        logger = logging.getLogger(f"apex.services.{self.service}")
        logger.propagate = False
        return logger


@cache
def logger_for(service: str) -> Logger:
    """The logger of a service, the same one at every call.

    The level is that of POWERTOOLS_LOG_LEVEL when the service logs for the first time in this process, else
    INFO. Call it with fields: ``logger.info("step confirmed", effect="e1")``.
    """
    return _ServiceLogger(
        service=service,
        logger_handler=_LineHandler(),
        logger_formatter=RedactingFormatter(
            utc=True,
            use_rfc3339=True,
            serialize_stacktrace=False,
            log_record_order=["level", "timestamp", "service", "location", "message"],
        ),
    )
