"""Ids that only have to differ from each other, such as those of requests; nobody may take them for secrets."""

import random
import uuid

# Its own, so that a program that seeds the common one for its tests gets no id twice.
_random = random.Random()  # noqa: S311 # ids, not secrets


def request_id() -> str:
    """A fresh id in the form of a UUID, without asking the operating system for randomness each time."""
    return str(uuid.UUID(int=_random.getrandbits(128), version=4))
