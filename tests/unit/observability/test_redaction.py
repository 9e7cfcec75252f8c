"""No secret and nobody's personal data reaches a log line, and the ids that make a line useful stay on it."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from apex.observability.redaction import MAX_DEPTH, MAX_TEXT, REDACTED, is_sensitive_name, redact, redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".replace("EXAMPLE", "EXAMPL7")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("mail ada@example.com today", "ada@example.com"),
        ("from: Ada <ada.l+x@mail.example.co.uk>", "ada.l+x@mail.example.co.uk"),
        ("jürgen@bücher.example", "jürgen@bücher.example"),
        ("mailto:ada@example.com", "ada@example.com"),
        ("card 4111 1111 1111 1111 declined", "4111 1111 1111 1111"),
        ("card 4111-1111-1111-1111", "4111-1111-1111-1111"),
        ("n=4111111111111111;", "4111111111111111"),
        ("378282246310005 and 3782 822463 10005", "378282246310005"),
        ("3782 822463 10005", "3782 822463 10005"),
        ("card4111111111111111", "4111111111111111"),
        ("line\\n4111111111111111\\n", "4111111111111111"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("sent bearer 0123456789abcdef", "0123456789abcdef"),
        (f"token was {JWT}", JWT),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("key ASIAIOSFODNN7EXAMPLE.", "ASIAIOSFODNN7EXAMPLE"),
        (f"signed with {AWS_SECRET} now", AWS_SECRET),
        ("session IQoJb3JpZ2luX2VjE" + "A1b2" * 20 + "==", "A1b2A1b2"),
        ("postgres://admin:hunter2@db.example/x", "hunter2"),
        ("postgres://admin:hun/ter@2@db.example/x", "hun/ter"),
        ("redis://:hunter2@cache:6379", "hunter2"),
        ("https://x.example/?api_key=abc123&page=2", "abc123"),
        ("password=hunter2", "hunter2"),
        ("db_password : hunter2", "hunter2"),
        ('{"clientSecret": "hun\\"ter2", "page": 2}', "ter2"),
        ("{'refresh_token': 'hunter2'}", "hunter2"),
        ('{\\"password\\": \\"hunter2\\"}', "hunter2"),
        ("password=token=hunter2", "hunter2"),
        ("Set-Cookie: a=1; session=hunter2; Path=/", "hunter2"),
        ("cvv: 123", "123"),
        ("sk-proj-abcdefghijklmnop1234", "abcdefghijklmnop1234"),
        ("sk_live_abcdefghijklmnop", "abcdefghijklmnop"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnop"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----", "MIIE"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut off", "MIIE"),
    ],
)
def test_what_is_recognisable_by_itself_is_taken_out_of_texts(text: str, secret: str) -> None:
    clean = redact_text(text)
    assert secret not in clean
    assert REDACTED in clean


@pytest.mark.parametrize(
    "text",
    [
        "step s1 confirmed after 2 attempts",
        "6f6e7a0c-6c0e-5d3b-9a53-0a9e5d6c7e10",
        "12345678-4111-4111-8111-111111111111",
        "tenant-1-omnilink:system.started-1735689600000-abc123",
        "1-5759e988-bd862e3fe1be46a994272793",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "4111111111111111abcd000000000000",
        "arn:aws:states:us-east-1:123456789012:execution:apex-dev-agent-workflow:w-1",
        "2025-01-01T00:00:00.000Z",
        "4111 1111 1111 1112 is no card: its sum is wrong",
        "1735689600000",
        "https://flights.example:8080/search?to=Paris&page=2",
        "max_tokens=500, shipping: fast, discard: yes",
        "user@localhost ran `git push git@host`",
        "the secret of good bread",
        "layers/core/python/apex/observability/redaction.py",
    ],
)
def test_ids_times_and_plain_words_stay(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "password", "db_password", "Passwd", "userPassword", "pwd", "secret", "clientSecret", "SECRET_KEY", "secretary",
        "token", "taskToken", "task_token", "accesstoken", "Authorization", "X-Api-Key", "apikey", "apiKey",
        "aws_secret_access_key", "accessKeyId", "private_key", "credentials", "cookie", "Set-Cookie", "card",
        "card_number", "cardNumber", "cardnumber", "creditCard", "cvv", "CVC", "pin", "ssn", "iban", "phone",
        "phoneNumber", "passport_no", "X-Omni-Signature", "jwt",
    ],
)  # fmt: skip
def test_names_that_announce_a_secret(name: str) -> None:
    assert is_sensitive_name(name)
    assert redact({name: "hunter2"}) == {name: REDACTED}
    assert redact({name: {"inner": ["hunter2"]}}) == {name: REDACTED}
    assert redact({"deep": [{name: 1234}]}) == {"deep": [{name: REDACTED}]}


@pytest.mark.parametrize(
    "name",
    ["tenant", "workflow_id", "step_id", "idempotency_key", "shipping", "discard", "author", "keyboard", "pinned",
     "company", "description", "tokenizer", "attempt"],
)  # fmt: skip
def test_names_that_only_look_like_it(name: str) -> None:
    assert not is_sensitive_name(name)
    assert redact({name: "Paris"}) == {name: "Paris"}


def test_that_a_secret_is_there_or_not_may_be_told_and_how_many_tokens_were_used() -> None:
    harmless = {"has_password": True, "card": None, "max_tokens": 500, "usage": {"prompt_tokens": 12}}
    assert redact(harmless) == harmless
    assert redact({"tokens": ["a", "b"]}) == {"tokens": REDACTED}


def test_numbers_that_are_cards_are_taken_out_and_others_keep_their_type() -> None:
    value = {"n": 4111111111111111, "amount": 900, "rate": 0.5, "at": 1735689600000, "nothing": float("nan")}
    assert redact(value) == {"n": REDACTED, "amount": 900, "rate": 0.5, "at": 1735689600000, "nothing": "nan"}


def test_keys_are_texts_too() -> None:
    assert redact({"ada@example.com": 1}) == {REDACTED: 1}


class Login(BaseModel):
    user: str
    password: str


def test_objects_are_read_as_the_text_they_would_print() -> None:
    assert redact(Login(user="ada", password="hunter2")) == f"user='ada' password={REDACTED}"
    assert redact(ValueError("no access for ada@example.com")) == f"no access for {REDACTED}"
    assert redact(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"
    assert redact(b"hunter2") == "[7 bytes]"
    assert redact(("a", {"b"})) == ["a", ["b"]]


def test_a_secret_at_the_cut_is_found_before_the_text_is_cut() -> None:
    text = "x" * (MAX_TEXT - 8) + " ada@example.com " + "y" * 100
    clean = redact(text)
    assert "ada" not in clean
    assert clean.endswith(" more characters]")
    assert len(clean) < MAX_TEXT + 40


def test_endless_nesting_ends() -> None:
    knot: list[Any] = []
    knot.append(knot)
    assert json.dumps(redact(knot)).count("[") == MAX_DEPTH + 1


@pytest.mark.parametrize(
    "piece", ["token", "a-", "x://", "://u:", "bearer ", "4111-", "cookie:", "a@", "\\", "eyJ.", "sk-"]
)
def test_long_hostile_texts_are_read_in_one_pass(piece: str) -> None:
    """Reading each text once takes milliseconds; reading it once per character would take this test many minutes."""
    text = piece * (300_000 // len(piece))
    assert redact_text(redact_text(text)) == redact_text(text)


# ── properties ──────────────────────────────────────────────────────────────────────────────────────────────


def luhn_digit(digits: str) -> str:
    """The check digit, computed in another way than the code under test does."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return str(-total % 10)


cards = st.from_regex(r"[2-6][0-9]{11,17}", fullmatch=True).map(lambda digits: digits + luhn_digit(digits))
# No digits, which would make another number, and none of a to f, with which the digits could be an id.
around = st.text(st.characters(exclude_categories=["Cs", "Nd"], exclude_characters="abcdefABCDEF"), max_size=20)
locals_ = st.from_regex(r"[a-z0-9][a-z0-9.+_%-]{0,20}", fullmatch=True)
hosts = st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}(\.[a-z0-9]{2,8}){1,2}", fullmatch=True)
secrets = st.from_regex(r"[A-Za-z0-9!#$%*+./:?@^_~-]{6,30}", fullmatch=True)


@given(around, cards, around)
def test_no_card_survives_in_any_text(before: str, card: str, after: str) -> None:
    assert card not in redact_text(before + card + after)


@given(cards)
def test_a_card_written_in_groups_does_not_survive(card: str) -> None:
    for separator in " -":
        groups = separator.join(card[start : start + 4] for start in range(0, 16, 4))
        if len(card) == 16:
            assert groups not in redact_text(f"paid with {groups}.")


@given(around, locals_, hosts)
def test_no_email_address_survives(before: str, name: str, host: str) -> None:
    address = f"{name}@{host}"
    assert address not in redact_text(f"{before} {address} ")
    assert address not in json.dumps(redact({"note": [f"<{address}>"]}))


@given(st.sampled_from(["password", "api_key", "clientSecret", "authorization", "card-number", "accessToken"]), secrets)
def test_no_value_under_a_secret_name_survives_in_data_or_in_text(name: str, secret: str) -> None:
    assert secret not in json.dumps(redact({"outer": {name: secret}})).replace(name, "")
    for text in (f"{name}={secret}", json.dumps({name: secret}), repr({name: secret})):
        assert secret not in redact_text(text).replace(name, "")


@given(locals_, secrets.filter(lambda secret: "," not in secret), hosts)
def test_no_credentials_survive_in_an_address(user: str, secret: str, host: str) -> None:
    assert f"{user}:{secret}" not in redact_text(f"cannot reach https://{user}:{secret}@{host}/path")


@given(st.uuids())
def test_ids_always_stay(identifier: UUID) -> None:
    for text in (str(identifier), identifier.hex, f"workflow {identifier} of acme"):
        if text != identifier.hex or not text.isdigit():
            assert redact_text(text) == text


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))  # fmt: skip
def test_anything_becomes_json_and_redacting_twice_changes_nothing_more(value: Any) -> None:
    once = redact(value)
    json.dumps(once, allow_nan=False)
    assert redact(once) == once
