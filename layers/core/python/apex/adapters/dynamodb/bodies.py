"""Documents as one JSON attribute; large ones go to S3 first and only their address is stored.

One string attribute instead of nested maps keeps numbers exactly as they were and costs a fraction of the encoding
time.
"""

import hashlib
from typing import Any

from apex.adapters.dynamodb.answers import answered
from apex.adapters.dynamodb.tables import tenant_key
from apex.errors import StoreError
from apex.schema.ids import WorkflowRef

INLINE_LIMIT = 32 * 1024
"""Bytes of JSON above which a document is stored in S3: an item may hold 400 KB, but every change would pay for all
of it."""

Item = dict[str, dict[str, Any]]
"""An item in DynamoDB's own JSON."""


class Bodies:
    """Packs documents into item attributes and back."""

    def __init__(self, s3: Any | None, bucket: str | None, *, inline_limit: int = INLINE_LIMIT) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._limit = inline_limit

    def pack(self, ref: WorkflowRef, document: str) -> Item:
        """Attributes that hold the document. A large one is written to S3 *before* this answers, under the digest of
        its content, so that repeating the write changes nothing. Raises ``StoreError`` where it is large and there is
        no bucket, or the bucket does not take it."""
        content = document.encode()
        if len(content) <= self._limit:
            return {"body": {"S": document}}
        if self._s3 is None or self._bucket is None:
            raise StoreError(f"a document of {len(content)} bytes needs the payload bucket, and none is configured")
        key = f"{tenant_key(ref.tenant)}/{ref.workflow_id}/{hashlib.sha256(content).hexdigest()}.json"
        with answered():
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType="application/json")
        return {"body_ref": {"S": key}, "body_bytes": {"N": str(len(content))}}

    def unpack(self, item: Item) -> str:
        """The document that ``pack`` stored; raises ``StoreError`` where the content does not have its digest."""
        if "body" in item:
            return str(item["body"]["S"])
        key = item["body_ref"]["S"]
        if self._s3 is None:
            raise StoreError(
                "a large document was stored in the payload bucket, and none is configured to read it from"
            )
        with answered():
            content: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        if hashlib.sha256(content).hexdigest() != key.rsplit("/", 1)[-1].removesuffix(".json"):
            raise StoreError("a stored document is not the one that was written: its digest differs")
        return content.decode()
