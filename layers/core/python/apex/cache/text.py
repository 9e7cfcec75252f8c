"""A goal as a row of keys, with the original text kept for what goes into a plan."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from apex.cache.kinds import token_kind
from apex.cache.words import (
    FILLERS,
    FORMS,
    PARTICLE_VERBS,
    POLITE_ENDINGS,
    POLITE_OPENINGS,
    QUESTION_OPENERS,
    TIME_DETERMINERS,
    TIME_LEADS,
)

MAX_GOAL_LENGTH = 2000
"""Characters; a longer goal is never looked up."""
MAX_TOKENS = 120

_TOKEN = re.compile(
    r"""[$€£¥][0-9]+(?:[.,][0-9]+)*[a-z]?     # an amount
      | [0-9]+(?:[.,:/][0-9]+)*%?[\w-]*       # a figure, a clock time, a date in figures
      | [^\W_]+(?:[-.&'@_/+][^\W_]+)*         # a word, a name with a hyphen, an email address
      | [&+%/\#@*=<>-]                        # signs that mean something
    """,
    re.VERBOSE,
)
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})


@dataclass(frozen=True, slots=True)
class Token:
    """One word: ``key`` is what it is compared by, ``start`` and ``end`` are offsets into the goal."""

    key: str
    start: int
    end: int


@dataclass(frozen=True)
class Goal:
    """A goal in its canonical Unicode form, cut into tokens; punctuation between words is no token."""

    text: str
    tokens: tuple[Token, ...]

    @classmethod
    def read(cls, text: str) -> "Goal":
        """Tokenise; a goal that is too long or no valid Unicode has no tokens, and fits nothing."""
        if len(text) > MAX_GOAL_LENGTH or not _is_unicode(text):
            return cls("", ())
        text = unicodedata.normalize("NFC", text)
        plain = text.translate(_STRAIGHT)
        tokens: list[Token] = []
        for found in _TOKEN.finditer(plain):
            start, end = found.span()
            key = plain[start:end].lower()
            if key.endswith("'s") and len(key) > 2:
                tokens += [Token(key[:-2], start, end - 2), Token("'s", end - 2, end)]
            else:
                tokens.append(Token(key, start, end))
        return cls(text, tuple(tokens) if len(tokens) <= MAX_TOKENS else ())

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of all tokens."""
        return tuple(token.key for token in self.tokens)

    @cached_property
    def fillers(self) -> tuple[bool, ...]:
        """Which tokens are fillers; "to" is one behind a filler ("I want to"), elsewhere it gives a role."""
        found: list[bool] = []
        for key in self.keys:
            behind = bool(found) and found[-1]
            wanted = bool(found) and key == "for" and form(self.keys[len(found) - 1]) == "find"
            found.append(key in FILLERS or (key == "to" and behind) or wanted or self._leads_to_a_time(len(found)))
        return tuple(found)

    def _leads_to_a_time(self, index: int) -> bool:
        """Whether "on", "for" or "at" only leads to a time: "on Friday" is as good as "Friday"."""
        if self.keys[index] not in TIME_LEADS or (index and self.keys[index - 1] in PARTICLE_VERBS):
            return False
        after = index + 1
        while after < len(self.keys) and self.keys[after] in TIME_DETERMINERS:
            after += 1
        return after < len(self.keys) and token_kind(self.keys[after]) in "cdo"

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """What the words are looked up by as wording."""
        return tuple(map(form, self.keys))

    @cached_property
    def asks(self) -> bool:
        """Whether a question mark ends what does not begin like a question: somebody wonders, and orders nothing."""
        return self.text.rstrip().endswith("?") and not (self.keys and self.keys[0] in QUESTION_OPENERS)

    def value(self, first: int, after: int) -> str:
        """The original text of the tokens from ``first`` up to ``after``."""
        return self.text[self.tokens[first].start : self.tokens[after - 1].end]


def form(key: str) -> str:
    """A word without its plural, and the commonest word of ordering for others of its meaning."""
    if key in FORMS:
        return FORMS[key]
    plural = len(key) > 3 and key[-1] == "s" and key[-2] not in "sui'"
    return key[:-1] if plural else key


@dataclass(frozen=True, slots=True)
class Reading:
    """The tokens from ``start`` up to ``end``; polite words around them are left out.

    ``dropped`` are the phrases left out at the end: where such a phrase is a known argument, the reading is void.
    """

    start: int
    end: int
    dropped: tuple[str, ...] = ()


def readings(keys: tuple[str, ...], lowest: int = 0, highest: int = 0) -> list[Reading]:
    """The ways to leave out polite words: all of those in front or none, and any number of those at the end.

    At least the tokens from ``lowest`` up to ``highest`` (the arguments of a plan that is admitted) stay.
    """
    size = len(keys)
    start = _after_openings(keys, lowest if highest else size - 1)
    ends = [Reading(0, size)]
    for reading in ends:
        for phrase in POLITE_ENDINGS:
            end = reading.end - len(phrase)
            if end > 0 and end >= highest and keys[end : reading.end] == phrase and all(r.end != end for r in ends):
                ends.append(Reading(0, end, (*reading.dropped, " ".join(phrase))))
    starts = (0, start) if start else (0,)
    return [Reading(first, end.end, end.dropped) for first in starts for end in ends if first < end.end]


def _after_openings(keys: tuple[str, ...], limit: int) -> int:
    start, moved = 0, True
    while moved:
        moved = False
        for phrase in POLITE_OPENINGS:
            after = start + len(phrase)
            if after <= limit and keys[start:after] == phrase:
                start, moved = after, True
                break
    return start


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
