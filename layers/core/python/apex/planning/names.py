"""Which spans of text may be the name of a place or a person.

A slot says where in the goal a name stands; this module only says whether the span can be one name and nothing else.
It errs towards no: a span that might be two names, or a name and a further wish, is refused, because a plan that
books the wrong thing costs more than a plan that has to be made anew.
"""

import unicodedata

from apex.planning.dates import MONTHS, WEEKDAYS

MAX_PLACE_WORDS = 7
MAX_PERSON_WORDS = 5


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_INSIDE = _words("the of de la le les du des da do dos das di del della el los las van von der den am al bin upon sur")
"""Words that may stand in lower case between the capitalised words of one name."""

_ABBREVIATIONS = _words("st ste mt ft dr mr mrs ms prof")
"""May end in a full stop in the middle of a name; after any other word it ends a sentence."""

_JOINING = _words("and or nor plus et und oder ou y")  # codespell:ignore oder
_SELECTING = _words(
    "not no never without except but unless if only instead then each every all any both either neither"
)
_PLACING = _words("a an from to via for with by near at in into on until before after between through around than")
_POINTING = _words("i me my mine you your he his she her they their we our us it its this that these those")
_QUALIFYING = _words("please asap urgent class economy business premium direct nonstop refundable return twice again")
_ORDERING = _words("book reserve charge cancel send pay delete refund create update find search fly hire rent transfer")
_TIMING = _words("today tomorrow tonight yesterday now later next last day days night nights week weeks month year")
_NEVER = _JOINING | _SELECTING | _PLACING | _POINTING | _QUALIFYING | _ORDERING | _TIMING | {*WEEKDAYS} | {*MONTHS}
"""Words that are no part of a name, however they are written.

Some real names hold one (Friday Harbor): they are missed, which costs a plan made anew, not a wrong one.
"""


def is_place(text: str) -> bool:
    """Whether the text can be one place: capitalised words, perhaps after "the" (the Eiffel Tower, Musée d'Orsay)."""
    words = text.split()
    if len(words) > 1 and words[0].casefold() == "the":
        words = words[1:]
    return _is_name(words, MAX_PLACE_WORDS)


def is_person(text: str) -> bool:
    """Whether the text can be one person's name: capitalised words and initials (Ludwig van Beethoven, J. S. Bach)."""
    return _is_name(text.split(), MAX_PERSON_WORDS)


def _is_name(words: list[str], most: int) -> bool:
    if not 1 <= len(words) <= most:
        return False
    if not (_is_capitalised(words[0]) and _is_capitalised(words[-1])) or words[-1].casefold() in {"the", "of"}:
        return False
    return all(word in _INSIDE or _is_capitalised(word) for word in words)


def _is_capitalised(word: str) -> bool:
    word = _without_stop(word)
    pieces = word.split("-")
    if word.casefold() in _NEVER or any(piece.casefold() in _JOINING for piece in pieces):
        return False
    return all(map(_is_piece, pieces)) and _starts_upper(word)


def _without_stop(word: str) -> str:
    stem = word.removesuffix(".")
    return stem if len(stem) == 1 or stem.casefold() in _ABBREVIATIONS else word


def _is_piece(piece: str) -> bool:
    return any(map(str.isalpha, piece)) and all(
        char.isalpha() or char == "'" or unicodedata.category(char) == "Mn" for char in piece
    )


def _starts_upper(word: str) -> bool:
    if word[:2] in {"d'", "l'"}:
        word = word[2:]
    return word[:1].isupper() or word[:1].istitle()
