"""A goal as a row of keys, with the original text kept for what goes into a plan."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from apex.cache.words import ARTICLES, POLITE_ENDINGS, POLITE_OPENINGS, QUESTION_OPENERS

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
_EDGES = re.compile(r"[^\w$€£¥%&+#@*/]+")


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
            if key.endswith("'s") and len(key) > 2 and key.isascii():
                tokens += [Token(key[:-2], start, end - 2), Token("'s", end - 2, end)]
            else:
                tokens.append(Token(key, start, end))
        return cls(text, tuple(tokens) if len(tokens) <= MAX_TOKENS else ())

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of all tokens."""
        return tuple(token.key for token in self.tokens)

    @cached_property
    def asks(self) -> bool:
        """Whether a question mark ends what does not begin like a question: somebody wonders, and orders nothing."""
        return self.text.rstrip().endswith("?") and not (self.keys and self.keys[0] in QUESTION_OPENERS)

    def value(self, first: int, after: int) -> str:
        """The original text of the tokens from ``first`` up to ``after``."""
        return self.text[self.tokens[first].start : self.tokens[after - 1].end]


def comparable(value: str) -> str:
    """A value as it is compared: lower case, white space and punctuation folded, without a leading article."""
    words = _EDGES.sub(" ", value.translate(_STRAIGHT).lower()).split()
    while len(words) > 1 and words[0] in ARTICLES:
        del words[0]
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class Reading:
    """The tokens from ``start`` up to ``end``; polite words around them are left out.

    ``dropped`` are the phrases left out at the end: where such a phrase is a known argument, the reading is void.
    """

    start: int
    end: int
    dropped: tuple[str, ...] = ()


def readings(keys: tuple[str, ...], lowest: int = 0, highest: int = 0) -> list[Reading]:
    """All ways to leave out polite words, the whole goal first.

    At least the tokens from ``lowest`` up to ``highest`` (the arguments of a plan that is admitted) stay.
    """
    size = len(keys)
    starts, ends = [0], [Reading(0, size)]
    for start in starts:
        for phrase in POLITE_OPENINGS:
            after = start + len(phrase)
            fits = keys[start:after] == phrase and after < size and (highest == 0 or after <= lowest)
            if fits and after not in starts:
                starts.append(after)
    for reading in ends:
        for phrase in POLITE_ENDINGS:
            end = reading.end - len(phrase)
            if end > 0 and end >= highest and keys[end : reading.end] == phrase and all(r.end != end for r in ends):
                ends.append(Reading(0, end, (*reading.dropped, " ".join(phrase))))
    return [Reading(start, end.end, end.dropped) for start in starts for end in ends if start < end.end]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
