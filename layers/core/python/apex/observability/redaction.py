"""Takes secrets and personal data out of what is logged.

Two nets: values under names that announce a secret are replaced whole, and every text is searched for things
that are recognisable by themselves. Where the two cannot be sure they take away too much rather than too
little, except that ids (UUIDs, hexadecimal digests) stay: a log line without its ids helps nobody.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

# A record is for reading: deeper or longer than this, it is somebody's data and not a message.
MAX_DEPTH = 12
MAX_TEXT = 8_000


def redact(value: Any, *, depth: int = 0) -> Any:
    """A copy of the value, as JSON data, without secrets and personal data.

    Objects that JSON does not have are turned into text first, so that a secret in an exception or a model is
    found. Texts longer than `MAX_TEXT` characters are cut.
    """
    if isinstance(value, str):
        return _cut(redact_text(value))
    if value is None or isinstance(value, (bool, int, float)):
        return _redact_number(value)
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        if depth >= MAX_DEPTH:
            return "[nested too deeply]"
        if isinstance(value, Mapping):
            return dict(_redact_item(str(name), item, depth) for name, item in value.items())
        return [redact(item, depth=depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return f"[{len(value)} bytes]"
    return _cut(redact_text(str(value)))


def _redact_number(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has neither NaN nor infinities
    return REDACTED if isinstance(value, int) and _is_card(str(value)) else value


def redact_text(text: str) -> str:
    """The text without bearer tokens, keys, card numbers, email addresses and credentials in URLs."""
    if len(text) < _SHORTEST_KEY and text.isalpha():
        return text
    if "@" in text:
        text = _URL.sub(_redact_url, text)
        text = _EMAIL.sub(REDACTED, text)
    if ":" in text or "=" in text:
        text = _COOKIE.sub(rf"\1{REDACTED}", text)
        text = _ASSIGNMENT.sub(rf"\1{REDACTED}", text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(REDACTED, text)
    text = _CREDENTIAL.sub(REDACTED, text)
    return _CARD.sub(_redact_card, text)


def is_sensitive_name(name: str) -> bool:
    """Whether a field of this name, in any spelling, holds a secret or personal data."""
    return _read_name(name)[1] is not None


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────

# Long enough to be recognised inside any name, also where the words are glued together.
_PARTS = re.compile(
    "password|passwd|passphrase|secret|authorization|authtoken|accesstoken|refreshtoken|idtoken|sessiontoken|"
    "bearer|apikey|accesskey|privatekey|signingkey|credential|cookie|cardnumber|creditcard|securitycode|"
    "passport"
)
# Short ones count only as a word of their own: `pin` is not part of `shipping`.
_WORDS = frozenset(
    ("token", "tokens", "jwt", "pwd", "auth", "signature", "card", "pan", "cvv", "cvc", "pin", "otp", "ssn")
) | {"iban", "phone"}
_WORD_BREAK = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _redact_item(name: str, value: Any, depth: int) -> tuple[str, Any]:
    shown, found = _read_name(name)
    if found is None or value is None or isinstance(value, bool):
        return shown, redact(value, depth=depth + 1)
    # max_tokens and prompt_tokens are counts of a language model, not secrets.
    if found == "tokens" and isinstance(value, (int, float)):
        return shown, value
    return shown, REDACTED


@lru_cache(maxsize=4096)
def _read_name(name: str) -> tuple[str, str | None]:
    """The name as it may be shown, and the part of it that announces a secret, None where nothing does."""
    words = [word.lower() for word in _WORD_BREAK.split(name) if word]
    part = _PARTS.search("".join(words))
    found = part.group() if part else next((word for word in words if word in _WORDS), None)
    return redact_text(name), found


# ── texts ───────────────────────────────────────────────────────────────────────────────────────────────────
# Every pattern starts at a boundary and gives up at the end of a word, so that a long hostile text is read
# once and not once per character.

# A single word of letters shorter than this is no key: those of letters alone are longer.
_SHORTEST_KEY = 40

_URL = re.compile(r"""(?<=://)[^\s"'<>,]++""")
_EMAIL_PART = r"""[^\s@<>"'(){}\[\],;:/=&?|\\]"""
_EMAIL = re.compile(rf"(?<!{_EMAIL_PART}){_EMAIL_PART}+@[\w-]+(?:\.[\w-]+)+")
_COOKIE = re.compile(r"(?i)((?<![\w-])(?:set-)?cookie\s*:\s*)[^\r\n]+")
_ASSIGNMENT = re.compile(
    r"""(?ix)
    ( (?<![\w-])
      (?: (?> [\w-]*?
              (?: pass(?:word|wd|phrase) | secret | token(?!s) | authorization | credential | cookie
                | signature | (?:api|access|private)[-_]?key | card[-_]?n(?:umber|o)(?![a-z]) ) )
          [\w-]*+
        | (?: [\w-]*[-_] )? (?: pwd | cvv | cvc | pin | otp | ssn ) )
      \\*["']? \s* [:=] \s*
    )
    (?: \\*"(?:[^"\\]|\\.)*"?
      | \\*'(?:[^'\\]|\\.)*'?
      | (?: (?:bearer|basic|digest|aws4-hmac-sha256) \s+ )? [^\s,;&"'}\])]+ )
    """
)
_PRIVATE_KEY = re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)")
# In this order: bearer tokens; AWS access key ids, secret keys (40 characters of all three kinds) and session
# tokens; JSON web tokens; API keys of payment, language model, forge and chat services.
_CREDENTIAL = re.compile(
    r"""(?x)
      (?i: (?<!\w) bearer \s+ [A-Za-z0-9._~+/=-]{8,} )
    | (?<![A-Za-z0-9]) (?: AKIA | ASIA | AROA | AIDA | AGPA | ANPA ) [A-Z0-9]{16} (?![A-Za-z0-9])
    | (?<![A-Za-z0-9/+=]) (?=[a-z0-9/+]*[A-Z]) (?=[A-Z0-9/+]*[a-z]) (?=[A-Za-z/+]*[0-9])
      [A-Za-z0-9/+]{40} (?![A-Za-z0-9/+=])
    | (?<![A-Za-z0-9/+=]) (?: IQoJ | FQoG | FwoG ) [A-Za-z0-9/+]{40,} =*
    | (?<![A-Za-z0-9_-]) eyJ [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]*
    | (?<![A-Za-z0-9]) (?: sk | pk | rk ) [-_] [A-Za-z0-9_-]{16,}
    | (?<![A-Za-z0-9]) (?: gh[pousr]_ | github_pat_ | xox[abprs]- ) [A-Za-z0-9_-]{16,}
    """
)


def _redact_url(match: re.Match[str]) -> str:
    # Up to the last @, wherever it is: passwords hold slashes and colons that should have been escaped.
    _, at, rest = match.group().rpartition("@")
    return f"{REDACTED}@{rest}" if at else rest


# ── cards ───────────────────────────────────────────────────────────────────────────────────────────────────

# Ids come first and are let through, so that the digits inside them are never taken for a card.
_CARD = re.compile(
    r"""(?x)
    (?P<id> (?<![0-9A-Za-z]) [0-9a-fA-F]{8} (?:-[0-9a-fA-F]{4}){3} - [0-9a-fA-F]{12} (?![0-9A-Za-z])
      | (?<![0-9A-Za-z]) (?=[0-9]*[a-fA-F])
        (?: [0-9a-fA-F]{64} | [0-9a-fA-F]{40} | [0-9a-fA-F]{32} | [0-9a-fA-F]{24} | [0-9a-fA-F]{16} )
        (?![0-9A-Za-z]) )
    | (?<![0-9]) (?: [2-6][0-9]{12,18}
                   | [2-6][0-9]{3}([ -])[0-9]{4}\2[0-9]{4}\2[0-9]{1,7}
                   | [2-6][0-9]{3}([ -])[0-9]{6}\3[0-9]{4,5} ) (?![0-9])
    """
)
_CARD_LENGTHS = range(13, 20)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _redact_card(match: re.Match[str]) -> str:
    text = match.group()
    if match["id"] is None and _is_card(text.replace(" ", "").replace("-", "")):
        return REDACTED
    return text


def _is_card(digits: str) -> bool:
    """Whether the digits could be a payment card: 13 to 19 of them, of a card network, with a right Luhn sum.

    No network issues numbers that start with 1, as today's times in milliseconds do.
    """
    if len(digits) not in _CARD_LENGTHS or digits[0] not in "23456":
        return False
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def _cut(text: str) -> str:
    # After the search and never before it: half a secret is not recognised and still half a secret.
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}... [{len(text) - MAX_TEXT} more characters]"
