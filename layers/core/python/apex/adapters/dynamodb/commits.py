"""One change = one transaction: the head moves on, the ledger entries change, the events get the next numbers.

The head item is the point of contention. Losing a race for a sequence number is not a failure: the transaction hands
back the head as it is now, the expectations are checked against it, and the change is tried again after a random pause
("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter").
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from apex.adapters.dynamodb.answers import answered, reasons_of, store_error
from apex.adapters.dynamodb.bodies import Item
from apex.adapters.dynamodb.items import HEAD, Items
from apex.errors import Conflict, HeadChanged, StepChanged, StoreContended, WorkflowNotFound
from apex.ports.store import Change, EntryWrite, EventDraft, RecordWrite
from apex.ports.surroundings import Clock
from apex.schema.events import EventBase
from apex.schema.ids import WorkflowRef
from apex.schema.ledger import Head

_DEFAULT_PATIENCE = timedelta(seconds=5)
_PAUSE_BASE = 0.004
_PAUSE_CAP = 0.5
_RACE_CAP = 0.05
"""Losing a race is no sign of an overloaded table: somebody else got on, and the next round is soon."""
_TRIES_AT_LEAST = 3
"""Also where the time is over: an attempt that comes far too late must find out that its step was changed."""
_CONTENDED = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_BUSY_CODES = {
    "TransactionInProgressException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
}


class Committer:
    """Turns a ``Change`` into a transaction and sees it through."""

    def __init__(
        self, client: Any, journal: str, state: str, records: Mapping[str, str], items: Items, clock: Clock
    ) -> None:
        self._client = client
        self._journal = journal
        self._state = state
        self._records = records
        self._items = items
        self._clock = clock

    def create(self, head: Head, received: EventDraft, submitted: Item | None = None) -> Head | None:
        """Write a new head, its first event and the plan that came with it, in one transaction, so that the plan is
        always the one of the submit that won. Answers the stored head where there is one already."""
        first = received.model_copy(update={"seq": 1})
        items = [
            (self._state, self._items.head(head.model_copy(update={"seq": 1}))),
            (self._journal, self._items.event(head.ref, first)),
            *([(self._state, submitted)] if submitted else []),
        ]
        writes = [_put(table, item, condition="attribute_not_exists(pk)") for table, item in items]
        give_up_at = self._clock.now() + _DEFAULT_PATIENCE
        tries = 0
        while True:
            try:
                self._client.transact_write_items(TransactItems=writes)
            except ClientError as error:
                codes = {reason.get("Code") for reason in reasons_of(error)}
                if "ConditionalCheckFailed" in codes:
                    # It is there: perhaps by an earlier try of ours whose answer was lost.
                    return None if self._landed(head.ref, (first,)) else self.read_head(head.ref)
                if not codes & _CONTENDED and error.response["Error"]["Code"] not in _BUSY_CODES:
                    raise store_error(error) from error
                tries += 1
            except BotoCoreError:
                tries += 1  # no answer came: the next try finds out whether it was written
            else:
                return None
            self._pause(tries, give_up_at)

    def commit(self, change: Change, head: Head, give_up_at: datetime | None) -> Head:
        """Write the change, starting from the head the caller read; answers the head after it."""
        give_up_at = give_up_at or self._clock.now() + _DEFAULT_PATIENCE
        tries = 0
        open_try: tuple[Head, tuple[EventBase, ...]] | None = None
        while True:
            if open_try is not None and self._landed(change.ref, open_try[1]):
                # The head as this change left it, as for any other change: others may have moved it on since.
                return open_try[0]
            check_expectations(change, head)
            after, events = _number(change, head)
            try:
                self._client.transact_write_items(TransactItems=self._transaction(change, head, after, events))
            except ClientError as error:
                head = self._next_head(error, change)
                cap = _RACE_CAP if _is_lost_race(error) else _PAUSE_CAP
                open_try = (after, events) if _is_ambiguous(error) else open_try
            except BotoCoreError:
                # No answer came: the transaction may have been applied. Only the journal can tell.
                open_try = (after, events)
                head, cap = self.read_head(change.ref), _PAUSE_CAP
            else:
                return after
            tries += 1
            self._pause(tries, give_up_at, cap)

    def put_record(self, write: RecordWrite) -> None:
        """Write a tool's own row by itself; raises ``Conflict`` where it must be new and is not."""
        try:
            self._client.transact_write_items(TransactItems=[self._record_write(write)])
        except ClientError as error:
            if any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons_of(error)):
                raise Conflict("a row of that key exists already") from error
            raise store_error(error) from error
        except BotoCoreError as error:
            raise store_error(error) from error

    def read_head(self, ref: WorkflowRef) -> Head:
        """The head, read consistently; raises ``WorkflowNotFound``."""
        item = self._get(self._state, self._items.key(ref, HEAD))
        if item is None:
            raise WorkflowNotFound(f"there is no workflow {ref.workflow_id}")
        return self._items.read_head(item)

    def _landed(self, ref: WorkflowRef, events: tuple[EventBase, ...]) -> bool:
        """True where the journal holds the first of these events: then it holds the whole change."""
        first = events[0]
        key = self._items.journal_key(ref, first.seq)
        item = self._get(self._journal, key)
        return item is not None and item["event_id"]["S"] == first.event_id

    def _get(self, table: str, key: Item) -> Item | None:
        with answered():
            item: Item | None = self._client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return item

    def _transaction(
        self, change: Change, head: Head, after: Head, events: tuple[EventBase, ...]
    ) -> list[dict[str, Any]]:
        writes = [self._head_put(change, head, after)]
        writes += [self._entry_put(change.ref, write, events[0].seq) for write in change.entries]
        writes += [
            _put(self._journal, self._items.event(change.ref, event), condition="attribute_not_exists(pk)")
            for event in events
        ]
        return writes + [self._record_write(write) for write in change.records]

    def _head_put(self, change: Change, head: Head, after: Head) -> dict[str, Any]:
        """The head moves from exactly the sequence number that was read; mode and generation are checked beside it,
        so that what a step may do never depends on how the numbers are given out."""
        condition = ["seq = :seq"]
        values: Item = {":seq": {"N": str(head.seq)}}
        names = {}
        if change.generation is not None:
            condition.append("generation = :generation")
            values[":generation"] = {"N": str(change.generation)}
        if change.modes is not None:
            modes = {f":mode{at}": {"S": mode.value} for at, mode in enumerate(sorted(change.modes))}
            condition.append(f"#mode IN ({', '.join(modes)})")
            values |= modes
            names["#mode"] = "mode"
        return _put(self._state, self._items.head(after), " AND ".join(condition), values, names, give_back=True)

    def _entry_put(self, ref: WorkflowRef, write: EntryWrite, started_seq: int) -> dict[str, Any]:
        entry = write.after.model_copy(update={"started_seq": started_seq}) if write.starts else write.after
        item = self._items.entry(ref, entry)
        if write.before is None:
            return _put(self._state, item, "attribute_not_exists(pk)")
        values: Item = {":state": {"S": write.before.state.value}}
        condition = "#state = :state AND attribute_not_exists(attempt_id)"
        if write.before.attempt_id is not None:
            condition = "#state = :state AND attempt_id = :attempt"
            values[":attempt"] = {"S": write.before.attempt_id}
        return _put(self._state, item, condition, values, {"#state": "state"})

    def _record_write(self, write: RecordWrite) -> dict[str, Any]:
        table = self._records[write.table]
        if write.item is None:
            return {"Delete": {"TableName": table, "Key": self._items.record_key(write.table, write.tenant, write.key)}}
        return _put(table, self._items.record(write), "attribute_not_exists(pk)" if write.must_be_new else None)

    def _next_head(self, error: ClientError, change: Change) -> Head:
        """The head to try again from; raises where trying again cannot help."""
        code = error.response["Error"]["Code"]
        if code in _BUSY_CODES:
            return self.read_head(change.ref)
        if code != "TransactionCanceledException":
            raise store_error(error) from error
        reasons = [reason.get("Code", "None") for reason in reasons_of(error)]
        if reasons and reasons[0] == "ConditionalCheckFailed":
            item = reasons_of(error)[0].get("Item")
            return self._items.read_head(item) if item else self.read_head(change.ref)
        entries = reasons[1 : 1 + len(change.entries)]
        if "ConditionalCheckFailed" in entries:
            step = change.entries[entries.index("ConditionalCheckFailed")].after.step_id
            raise StepChanged(f"step {step} was changed by another attempt", step_id=step)
        if change.records and "ConditionalCheckFailed" in reasons[-len(change.records) :]:
            raise Conflict("a row of that key exists already")
        if _CONTENDED & set(reasons) or "ConditionalCheckFailed" in reasons:
            return self.read_head(change.ref)
        raise store_error(error) from error

    def _pause(self, tries: int, give_up_at: datetime, cap: float = _PAUSE_CAP) -> None:
        pause = random.uniform(0, min(cap, _PAUSE_BASE * 2**tries))  # noqa: S311 - jitter, not a secret
        if tries >= _TRIES_AT_LEAST and self._clock.now() + timedelta(seconds=pause) >= give_up_at:
            raise StoreContended(f"the change could not be written in {tries} tries", tries=tries)
        self._clock.sleep(pause)


def check_expectations(change: Change, head: Head) -> None:
    """Raises ``HeadChanged`` where the head is not in a mode or generation that the change allows."""
    if change.modes is not None and head.mode not in change.modes:
        raise HeadChanged(f"the workflow is {head.mode.value}", mode=head.mode.value, generation=head.generation)
    if change.generation is not None and head.generation != change.generation:
        raise HeadChanged(
            f"generation {change.generation} was superseded by {head.generation}",
            mode=head.mode.value,
            generation=head.generation,
        )


def _number(change: Change, head: Head) -> tuple[Head, tuple[EventBase, ...]]:
    """The head after the change, and the events with their sequence numbers."""
    events = tuple(
        event.model_copy(update={"seq": head.seq + offset}) for offset, event in enumerate(change.events, start=1)
    )
    return head.model_copy(update={**change.head, "seq": head.seq + len(events)}), events


def _put(
    table: str,
    item: Item,
    condition: str | None = None,
    values: Item | None = None,
    names: Mapping[str, str] | None = None,
    *,
    give_back: bool = False,
) -> dict[str, Any]:
    put: dict[str, Any] = {"TableName": table, "Item": item}
    if condition:
        put["ConditionExpression"] = condition
    if values:
        put["ExpressionAttributeValues"] = values
    if names:
        put["ExpressionAttributeNames"] = dict(names)
    if give_back:
        put["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return {"Put": put}


def _is_lost_race(error: ClientError) -> bool:
    return bool(
        {"ConditionalCheckFailed", "TransactionConflict"} & {reason.get("Code") for reason in reasons_of(error)}
    )


def _is_ambiguous(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in {"InternalServerError", "TransactionInProgressException"}
