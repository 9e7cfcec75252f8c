"""Idempotency keys of events: `{tenantId}-{eventType}-{timestampMs}-{nonce}`."""

from datetime import UTC, datetime, timedelta

from apex.errors import InvalidInput
from apex.schema.event_types import is_well_formed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NONCES = 1_000_000
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def idempotency_key(tenant_id: str, event_type: str, timestamp: datetime, nonce: str) -> str:
    """The key under which an event is accepted once; the nonce tells events of the same millisecond apart.

    Raises:
        InvalidInput: for a blank tenant or nonce, a malformed type, a time before 1970 or without offset.
    """
    if not tenant_id.strip():
        raise InvalidInput("an idempotency key needs a tenant")
    if not nonce.strip():
        raise InvalidInput("an idempotency key needs a nonce that is not empty")
    if not is_well_formed(event_type):
        raise InvalidInput("an event type has the form app:domain.action")
    return f"{tenant_id}-{event_type}-{_milliseconds(timestamp)}-{nonce}"


def deterministic_key(tenant_id: str, event_type: str, timestamp: datetime, *, seed: int, sequence: int) -> str:
    """The key of the ``sequence``-th event of a replayable run: the same arguments always give the same key.

    Its nonce is ``(seed*31 + sequence) mod 1000000`` in base 36.

    Raises:
        InvalidInput: as `idempotency_key`, and for a negative seed or sequence.
    """
    if seed < 0 or sequence < 0:
        raise InvalidInput("seed and sequence of a deterministic key are not negative")
    return idempotency_key(tenant_id, event_type, timestamp, _base36((seed * 31 + sequence) % _NONCES))


def _milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970, in integers: a float would be off by one for some times."""
    if moment.utcoffset() is None:
        raise InvalidInput("the time of an idempotency key needs an offset from UTC")
    elapsed = (moment - _EPOCH) // timedelta(milliseconds=1)
    if elapsed < 0:
        raise InvalidInput("the time of an idempotency key is not before 1970")
    return elapsed


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
