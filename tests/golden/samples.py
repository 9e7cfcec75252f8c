"""The recorded journals, for tests that want real ones."""

import json
from functools import cache
from pathlib import Path

from apex.schema.events import JournalEvent, event_from_dict

FOLDER = Path(__file__).parent / "journals"


@cache
def recorded(version: str = "v1") -> dict[str, tuple[JournalEvent, ...]]:
    """The events of every sample of a version, by the sample's name."""
    return {
        path.stem: tuple(event_from_dict(event) for event in json.loads(path.read_text(encoding="utf-8"))["events"])
        for path in sorted((FOLDER / version).glob("*.json"))
    }
