"""What goes wrong between us and the tables or the bucket, as the store's own errors: machines retry those."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from apex.errors import StoreError


@contextmanager
def answered() -> Iterator[None]:
    """Around a call: raises ``StoreError`` where the service refuses, fails, or does not answer."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise store_error(error) from error


def store_error(error: ClientError | BotoCoreError) -> StoreError:
    """The store's error for one of boto3's."""
    if not isinstance(error, ClientError):
        return StoreError(f"no answer came: {type(error).__name__}")
    reasons = ", ".join(reason.get("Code", "None") for reason in reasons_of(error))
    return StoreError(f"AWS answered {error.response['Error']['Code']}" + (f" ({reasons})" if reasons else ""))


def reasons_of(error: ClientError) -> list[dict[str, Any]]:
    """Why a transaction was cancelled: one reason per item."""
    response: dict[str, Any] = dict(error.response)
    reasons: list[dict[str, Any]] = response.get("CancellationReasons", [])
    return reasons
