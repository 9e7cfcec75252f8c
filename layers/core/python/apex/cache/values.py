"""What admitted plans have shown about the values of each argument."""

from dataclasses import dataclass, field

from apex.cache.kinds import OPEN
from apex.cache.templates import span_kind, value_key
from apex.cache.words import ARTICLES, FILLERS, FUNCTION_WORDS, TIME_LEADS

SlotName = tuple[str, str]
"""Intent and argument."""

LEADING = TIME_LEADS | {"in"}
"""Never the first word of an unseen value: it leads to the value."""
_INSIDE_NAMES = frozenset({"of"})
FORBIDDEN = FUNCTION_WORDS - _INSIDE_NAMES - {"the", "a", "an"}
"""No part of a value that nobody has used before: such a word may be a further wish."""


@dataclass(slots=True)
class SlotFacts:
    """The values seen in one slot, by their comparable keys, with the kinds and the longest of them."""

    values: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    longest: int = 0


class Values:
    """Known values by slot; grows with each admitted plan."""

    def __init__(self) -> None:
        self.slots: dict[SlotName, SlotFacts] = {}
        self.owners: dict[str, dict[SlotName, int]] = {}

    def learn(self, slot: SlotName, keys: tuple[str, ...]) -> None:
        """Count one value of a slot."""
        facts = self.slots.setdefault(slot, SlotFacts())
        key, kind = value_key(keys), span_kind(keys)
        facts.values[key] = facts.values.get(key, 0) + 1
        facts.kinds[kind] = facts.kinds.get(kind, 0) + 1
        facts.longest = max(facts.longest, len(keys))
        owners = self.owners.setdefault(key, {})
        owners[slot] = owners.get(slot, 0) + 1

    def is_known(self, key: str) -> bool:
        """Whether any slot has had this value."""
        return key in self.owners

    def plausible(self, keys: tuple[str, ...]) -> bool:
        """Whether the span can be a value at all: known, of a recognised kind, or free of forbidden words."""
        if keys[0] in ARTICLES:
            return False
        if self.is_known(value_key(keys)):
            return True
        if keys[0] in FILLERS or keys[0] in LEADING or keys[-1] in FILLERS:
            return False
        return not FORBIDDEN.intersection(keys) or span_kind(keys) != OPEN
