"""The process around the local cloud: the environment of all that talks to it, and how its memory is looked after."""

import gc
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from apex.errors import LocalCloudError

REGION = "us-east-1"
ACCOUNT = "123456789012"

AWS_ENVIRONMENT: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    # Without it botocore asks DynamoDB Streams under a host name with the account in it, which moto does not answer.
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# Settings of the user's own AWS account; none of them may reach a client in here.
_FOREIGN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")

PER_FUNCTION: Mapping[str, str] = {
    "POWERTOOLS_SERVICE_NAME": "only labels log lines and metrics; handlers name their service themselves",
}
"""Variables that differ between functions on AWS and have no value in threads mode, each with why that is harmless."""


def union(environments: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """One environment for all functions, given as (function name, its variables).

    Raises ``LocalCloudError`` listing every variable to which two functions give different values, except those of
    ``PER_FUNCTION``, which are left out.
    """
    merged: dict[str, str] = {}
    given_by: dict[str, str] = {}
    contradictions = []
    for function, variables in environments:
        for name, value in variables.items():
            if name in PER_FUNCTION:
                continue
            if merged.setdefault(name, value) != value:
                contradictions.append(f"{name} ({given_by[name]}: {merged[name]!r}, {function}: {value!r})")
            given_by.setdefault(name, function)
    if contradictions:
        raise LocalCloudError(
            "handlers in one process share its environment, but functions contradict each other in "
            + "; ".join(contradictions)
        )
    return merged


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set ``variables`` for the process and hide the user's own AWS settings; both are as before afterwards."""
    hidden = [name for name in os.environ if name in _FOREIGN or name.startswith("AWS_ENDPOINT_URL_")]
    before = {name: os.environ.get(name) for name in {*variables, *hidden}}
    try:
        for name in hidden:
            os.environ.pop(name, None)
        os.environ.update(variables)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def rare_full_collections() -> Iterator[None]:
    """Look for garbage among old objects only now and then, and not at all among those that are there by now.

    A local cloud keeps what it is told, so old objects are hardly ever garbage, and looking through them stops it.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(before[0], before[1], 10 * before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
