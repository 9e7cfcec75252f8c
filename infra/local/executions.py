"""Ends what the Step Functions interpreter still runs when the local cloud stops."""

from datetime import UTC, datetime

from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.models import stepfunctions_parser_backends


def end_all(account: str, region: str) -> int:
    """Stop every running execution; returns how many there were.

    To be called when nobody is told of status changes any more: an execution that ends with its cloud has not failed.
    """
    running = stepfunctions_parser_backends[account][region]._get_executions(ExecutionStatus.RUNNING)
    for execution in running:
        execution.stop(datetime.now(UTC), None, "the local cloud stops")
    return len(running)
