"""A goal as a row of tokens, and the ways it may be read.

Normalisation is deliberately small: white space, typographic quotes, the case of literal words, full stops and
exclamation marks at the end, and a few polite phrases. Nothing else is dropped, because a dropped word may be the one
that matters ("not", "except"). A question mark stays: a question is not an order.
"""

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from apex.planning.entities import Entity, Kind, recognise, straight

MAX_GOAL_LENGTH = 2000
"""Characters. Longer goals fit no worked example; the limit keeps matching quick for whatever is sent."""

OPENING = '("'
CLOSING = ',;:.!?)"'
"""Punctuation that becomes a token of its own at the front and at the back of a word."""

_FINAL = frozenset({".", "!"})

_ORDERS = (
    "please",
    "kindly",
    "i want you to",
    "i would like you to",
    "i'd like you to",
    "please can you",
    "please could you",
)
_QUESTIONS = (
    "can you please",
    "could you please",
    "would you please",
    "will you please",
    "please can you",
    "please could you",
)
_ENDINGS = frozenset({"please"})
_LONGEST_SPAN = {Kind.TEXT: MAX_GOAL_LENGTH}
_LONGEST_OTHER = 12


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a punctuation mark; ``key`` is what literal words are compared by."""

    text: str
    start: int
    end: int

    @property
    def key(self) -> str:
        """The token without differences of case and of quote style."""
        return straight(self.text).casefold()


def tokenise(text: str) -> list[Token]:
    """Words by white space, with the punctuation around them as tokens of their own; "$1,250.50" stays one token."""
    tokens: list[Token] = []
    position = 0
    for chunk in text.split():
        start = text.index(chunk, position)
        position = end = start + len(chunk)
        while start < end and straight(text[start]) in OPENING:
            tokens.append(Token(text[start], start, start + 1))
            start += 1
        word_end = end
        while word_end > start and straight(text[word_end - 1]) in CLOSING:
            word_end -= 1
        if word_end > start:
            tokens.append(Token(text[start:word_end], start, word_end))
        tokens += [Token(text[at], at, at + 1) for at in range(word_end, end)]
    return tokens


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a goal: the tokens from ``start`` up to ``end``, polite phrases around them left out."""

    start: int
    end: int


@dataclass
class Goal:
    """A goal, ready to be compared with worked examples."""

    text: str
    now: datetime
    tokens: list[Token]
    keys: list[str]
    _entities: dict[tuple[Kind, int, int], Entity | None] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, now: datetime) -> "Goal":
        """Tokenise a goal; ``now`` must be aware.

        A goal that is too long or not valid Unicode has no tokens and fits nothing.
        """
        readable = len(text) <= MAX_GOAL_LENGTH and _is_unicode(text)
        text = unicodedata.normalize("NFC", text) if readable else ""
        tokens = tokenise(text)
        return cls(text, now, tokens, [token.key for token in tokens])

    def entity(self, kind: Kind, first: int, after: int) -> Entity | None:
        """The tokens from ``first`` up to ``after`` as one entity of that kind, or None."""
        if after - first > _LONGEST_SPAN.get(kind, _LONGEST_OTHER):
            return None
        key = (kind, first, after)
        if key not in self._entities:
            span = self.text[self.tokens[first].start : self.tokens[after - 1].end]
            self._entities[key] = recognise(kind, span, self.now)
        return self._entities[key]

    @cached_property
    def readings(self) -> list[Reading]:
        """All ways to read the goal, the plainest first."""
        end = len(self.keys)
        while end and self.keys[end - 1] in _FINAL:
            end -= 1
        found = [Reading(0, end)]
        found += [Reading(start, end) for start in self._after(_ORDERS, end)]
        if end and self.keys[end - 1] == "?":
            found += [Reading(start, end - 1) for start in self._after(_QUESTIONS, end - 1)]
        found += [Reading(reading.start, self._before_ending(reading)) for reading in found]
        return [reading for reading in dict.fromkeys(found) if reading.start < reading.end]

    def _after(self, phrases: tuple[str, ...], end: int) -> list[int]:
        starts = []
        for words in map(str.split, phrases):
            start = len(words)
            if self.keys[:start] == words and start < end:
                starts.append(start + (self.keys[start] == ","))
        return starts

    def _before_ending(self, reading: Reading) -> int:
        end = reading.end
        if end > reading.start and self.keys[end - 1] in _ENDINGS:
            end -= 1
            if end > reading.start and self.keys[end - 1] == ",":
                end -= 1
        return end


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
