"""Objects of named buckets, kept in the data directory as they are written.

Every path on which moto stores an object (PutObject, a copy, a finished multipart upload) ends with
``FakeKey.set_metadata`` once the object is in its bucket, and every deletion goes through ``S3Backend.delete_object``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from moto.s3.models import FakeKey, S3Backend, s3_backends

from infra.local.repairs.stepfunctions_patching import replace
from infra.local.store import Store, StoredObject
from infra.local.surroundings import ACCOUNT


def _backend() -> S3Backend:
    return s3_backends[ACCOUNT]["aws"]


def restore_buckets(store: Store, buckets: Mapping[str, str]) -> None:
    """Put the stored objects into the buckets, given as physical names by logical name."""
    for logical, physical in buckets.items():
        for stored in store.objects(logical):
            key = _backend().put_object(physical, stored.key, stored.body, disable_notification=True)
            key.set_metadata(dict(stored.metadata))


def keep_buckets(store: Store, buckets: Mapping[str, str]) -> Callable[[], None]:
    """Write every change of the buckets' objects to the store before the call returns; the result ends it."""
    logical_names = {physical: logical for logical, physical in buckets.items()}
    set_metadata, delete_object = FakeKey.set_metadata, S3Backend.delete_object

    def save(key: FakeKey) -> None:
        logical = logical_names.get(key.bucket_name or "")
        if logical is not None:
            store.put_object(StoredObject(logical, key.name, key.value, dict(key.metadata)))

    def set_and_save(key: FakeKey, metadata: Any, replace: bool = False) -> None:
        set_metadata(key, metadata, replace)
        save(key)

    def delete_and_forget(backend: S3Backend, bucket_name: str, key_name: str, *rest: Any, **options: Any) -> Any:
        answer = delete_object(backend, bucket_name, key_name, *rest, **options)
        if (logical := logical_names.get(bucket_name)) is not None:
            left = backend.get_bucket(bucket_name).keys.get(key_name)
            if isinstance(left, FakeKey):  # an older version came to light
                save(left)
            else:
                store.delete_object(logical, key_name)
        return answer

    return replace((FakeKey, "set_metadata", set_and_save), (S3Backend, "delete_object", delete_and_forget))
