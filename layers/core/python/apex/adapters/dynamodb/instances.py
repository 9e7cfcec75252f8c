"""The read model on DynamoDB: one item per workflow, replaced only by the one that follows it."""

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from apex.adapters.dynamodb.answers import answered, store_error
from apex.adapters.dynamodb.bodies import Bodies, Item
from apex.adapters.dynamodb.items import sortable
from apex.adapters.dynamodb.tables import tenant_key, workflow_key
from apex.schema.ids import WorkflowRef
from apex.workflow.fold import WorkflowState
from apex.workflow.instances import instance_of

_SORT_KEY = "INSTANCE"
_BATCH_GET = 100
INLINE_LIMIT = 300 * 1024
"""Bytes of a summary above which it is stored in S3: a plan of a thousand steps stays below it."""


class DynamoInstances:
    """``WorkflowInstances`` on the table ``workflow_instances``, with ``bodies`` of this module's ``INLINE_LIMIT``."""

    def __init__(self, client: Any, table: str, bodies: Bodies) -> None:
        self._client = client
        self._table = table
        self._bodies = bodies

    def get(self, ref: WorkflowRef) -> WorkflowState | None:
        """The summary that is kept, read consistently."""
        with answered():
            item = self._client.get_item(TableName=self._table, Key=_key(ref), ConsistentRead=True).get("Item")
        return None if item is None else self._read(item)

    def put(self, kept: WorkflowState, *, after: int) -> bool:
        """Write the item, on condition that the one of event ``after`` is there."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if after:
            condition = {
                "ConditionExpression": "seq = :after",
                "ExpressionAttributeValues": {":after": {"N": str(after)}},
            }
        item = self._item(kept)
        try:
            self._client.put_item(TableName=self._table, Item=item, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise store_error(error) from error
        return True

    def of_tenant(self, tenant: str, *, limit: int = 50) -> list[WorkflowState]:
        """The tenant's newest workflows; the index holds keys only, so the items themselves are read."""
        with answered():
            answer = self._client.query(
                TableName=self._table,
                IndexName="by_tenant",
                KeyConditionExpression="tenant_pk = :tenant",
                ExpressionAttributeValues={":tenant": {"S": tenant_key(tenant)}},
                ScanIndexForward=False,
                Limit=limit,
            )
            found = self._read_all([{"pk": item["pk"], "sk": item["sk"]} for item in answer["Items"]])
        by_key = {item["pk"]["S"]: item for item in found}
        return [self._read(by_key[item["pk"]["S"]]) for item in answer["Items"] if item["pk"]["S"] in by_key]

    def _read_all(self, keys: Sequence[Item]) -> list[Item]:
        found: list[Item] = []
        for start in range(0, len(keys), _BATCH_GET):
            pending: dict[str, Any] = {self._table: {"Keys": list(keys[start : start + _BATCH_GET])}}
            while pending:
                answer = self._client.batch_get_item(RequestItems=pending)
                found += answer["Responses"].get(self._table, [])
                pending = answer.get("UnprocessedKeys", {})
        return found

    def _item(self, kept: WorkflowState) -> Item:
        ref = WorkflowRef(kept.tenant, kept.workflow_id)
        shown = instance_of(kept)
        item = {
            **_key(ref),
            "seq": {"N": str(kept.seq)},
            "tenant_pk": {"S": tenant_key(kept.tenant)},
            "status": {"S": kept.status.value},
            "goal": {"S": kept.goal},
            "step_counts": {"M": {state: {"N": str(number)} for state, number in shown.step_counts.items()}},
            "parked_steps": {"L": [{"S": step_id} for step_id in shown.parked_steps]},
        }
        for name, moment in (("accepted_at", kept.accepted_at), ("ended_at", kept.ended_at)):
            if moment is not None:
                item[name] = {"S": sortable(moment)}
        if kept.accepted_at is not None:
            item["created_sk"] = {"S": f"{sortable(kept.accepted_at)}#{kept.workflow_id}"}
        return item | self._bodies.pack(ref, kept.model_dump_json(exclude_defaults=True))

    def _read(self, item: Item) -> WorkflowState:
        return WorkflowState.model_validate_json(self._bodies.unpack(item))


def _key(ref: WorkflowRef) -> Item:
    return {"pk": {"S": workflow_key(ref.tenant, ref.workflow_id)}, "sk": {"S": _SORT_KEY}}
