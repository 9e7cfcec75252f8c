"""One batch of stream records on its way to a function: filters, retries, bisection, and where failures end."""

import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from moto.awslambda.models import EventSourceMapping
from moto.dynamodb.models.table import Table
from moto.events.models import EventPattern

from infra.local.changes import StreamRecord
from infra.local.ids import request_id
from infra.local.lambda_calls import Answer, TargetUnreachable, invoke, send_message, timestamp

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
"""Seconds before the first and the last retries of a batch; doubled from one to the next."""


def consumer_name(mapping: EventSourceMapping) -> str:
    """A name for the mapping that is the same after a restart, unlike its generated id."""
    return str(mapping.function_arn.split(":function:")[1].split(":")[0])


def is_stream_of(mapping: EventSourceMapping, table: Table) -> bool:
    """Whether the mapping reads the stream of the table."""
    return bool(mapping.event_source_arn.startswith(f"{table.table_arn}/stream/"))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Records that are sent together, and how often that failed already."""

    records: tuple[StreamRecord, ...]
    failures: int = 0


class BatchDelivery:
    """Delivers batches of one mapping; ``stopping`` ends retries early."""

    def __init__(self, mapping: EventSourceMapping, stopping: threading.Event, time_scale: float) -> None:
        self._mapping, self._stopping, self._time_scale = mapping, stopping, time_scale

    def deliver(self, batch: Sequence[StreamRecord]) -> list[StreamRecord]:
        """Deliver a batch, piece by piece in order; returns the records that are finished with.

        A record is finished when the function took it, when no filter wants it, or when it was given up and reported
        to the failure destination. Unless the delivery is stopped, all records are finished in the end.
        """
        wanted = tuple(record for record in batch if self._wants(record))
        pieces = deque([_Piece(wanted)] if wanted else [])
        while pieces and not self._stopping.is_set():
            pieces.extendleft(reversed(self._send(pieces.popleft())))
        undone = {record.sequence for piece in pieces for record in piece.records}
        return [record for record in batch if record.sequence not in undone]

    def _wants(self, record: StreamRecord) -> bool:
        filters = (self._mapping.filter_criteria or {}).get("Filters") or []
        if not filters:
            return True
        event: Any = record.event
        return any(EventPattern.load(wanted["Pattern"]).matches_event(event) for wanted in filters)

    def _send(self, piece: _Piece) -> list[_Piece]:
        """Send a piece; returns what has to be sent after that, in order."""
        if self._expired(piece):
            return self._give_up(piece, "RecordAgeExceeded", None)
        try:
            answer = invoke(self._mapping.function_arn, self._event(piece))
        except TargetUnreachable:
            answer = Answer("", failed=True)
        first_failed = self._first_failed(piece, answer)
        if first_failed is None:
            return []
        if first_failed > 0:
            return [_Piece(piece.records[first_failed:])]
        if self._mapping.bisect_on_error and len(piece.records) > 1:
            middle = len(piece.records) // 2
            return [_Piece(piece.records[:middle], piece.failures), _Piece(piece.records[middle:], piece.failures)]
        allowed = self._mapping.max_retry_attempts
        if allowed is not None and 0 <= int(allowed) <= piece.failures:
            return self._give_up(piece, "RetryAttemptsExhausted", answer)
        pause = min(_FIRST_PAUSE * 2**piece.failures, _LONGEST_PAUSE) * self._time_scale
        self._stopping.wait(pause)
        return [_Piece(piece.records, piece.failures + 1)]

    def _event(self, piece: _Piece) -> str:
        source = {"eventSourceARN": self._mapping.event_source_arn}
        return json.dumps({"Records": [record.event | source for record in piece.records]})

    def _expired(self, piece: _Piece) -> bool:
        limit = self._mapping.max_record_age
        return limit is not None and int(limit) >= 0 and time.time() - piece.records[0].created > int(limit)

    def _first_failed(self, piece: _Piece, answer: Answer) -> int | None:
        """Position of the first record that was not processed; ``None`` if all were.

        With ``ReportBatchItemFailures`` the answer lists sequence numbers; an answer that names none of this batch,
        or is not of the agreed form, means that the whole batch failed.
        """
        if answer.failed:
            return 0
        value = answer.value()
        if "ReportBatchItemFailures" not in (self._mapping.function_response_types or []) or not value:
            return None
        listed: Any = value.get("batchItemFailures") if isinstance(value, dict) else "malformed"
        if not listed:
            return None
        numbers = [str(record.sequence) for record in piece.records]
        try:
            return min(numbers.index(failure["itemIdentifier"]) for failure in listed)
        except (TypeError, KeyError, ValueError):
            return 0

    def _give_up(self, piece: _Piece, condition: str, answer: Answer | None) -> list[_Piece]:
        destination = ((self._mapping.destination_config or {}).get("OnFailure") or {}).get("Destination")
        if destination:
            try:
                send_message(destination, json.dumps(self._failure(piece, condition, answer)))
            except TargetUnreachable:
                self._stopping.wait(_LONGEST_PAUSE * self._time_scale)
                return [piece]
        return []

    def _failure(self, piece: _Piece, condition: str, answer: Answer | None) -> dict[str, Any]:
        first, last = piece.records[0], piece.records[-1]
        report: dict[str, Any] = {
            "requestContext": {
                "requestId": request_id(),
                "functionArn": self._mapping.function_arn,
                "condition": condition,
                "approximateInvokeCount": piece.failures + 1,
            },
            "version": "1.0",
            "timestamp": timestamp(),
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000001541626099285-f35f62ef",
                "startSequenceNumber": str(first.sequence),
                "endSequenceNumber": str(last.sequence),
                "approximateArrivalOfFirstRecord": timestamp(first.created),
                "approximateArrivalOfLastRecord": timestamp(last.created),
                "batchSize": len(piece.records),
                "streamArn": self._mapping.event_source_arn,
            },
        }
        if answer is not None:
            report["responseContext"] = {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled" if answer.failed else None,
            }
        return report
