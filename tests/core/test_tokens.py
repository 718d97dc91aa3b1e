"""Signed tokens: whom they are for, and what is refused."""

from __future__ import annotations

import base64
import json
import time
from typing import Any, Final

import jwt
import pytest
from pydantic import SecretStr

from jackfield import ConfigError
from jackfield.tokens import TokenExpired, TokenRefused, Tokens, signing_key

KEY: Final = b"Zk3p_0dL9vQ2xW7zTtbF8sN1cRq5Hm6JgKe4"
TOKENS: Final = Tokens(KEY, ttl_s=60)
DAY_S: Final = 86_400
"""Tokens that are made when the tests are found are still good when they run."""


def made(key: bytes = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    now = int(time.time())
    claims = {"sub": "ann", "iat": now, "exp": now + DAY_S, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm)


def unsigned() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': 'ann', 'exp': int(time.time()) + DAY_S})}."


def test_a_token_says_whom_it_is_for_and_when_it_expires() -> None:
    token = TOKENS.issue("ann")
    claims = jwt.decode(token, KEY, algorithms=["HS256"])

    assert TOKENS.subject(token) == "ann"
    assert set(claims) == {"sub", "iat", "exp", "jti"}
    assert claims["exp"] - claims["iat"] == 60
    assert jwt.get_unverified_header(token)["alg"] == "HS256"


def test_no_two_tokens_are_alike() -> None:
    assert TOKENS.issue("ann") != TOKENS.issue("ann")


@pytest.mark.parametrize(
    "token",
    [
        unsigned(),
        made(b"Another-key-of-at-least-thirty-two-bytes"),
        made(KEY * 2, algorithm="HS512"),
        made(KEY + b"-of-sixty-four-bytes-and-more", algorithm="HS512"),
        made(exp=None),
        made(sub=None),
        made(sub=1),
        made(aud="somebody-else"),
        made()[:-4] + "AAAA",
        "a.b.c",
        "ü" * 20,
        "x" * 5000,
        "",
    ],
    ids=[
        "unsigned", "another key", "another algorithm", "longer key", "no expiry", "no subject", "number",
        "another audience", "tampered", "no token", "letters", "long", "empty",
    ],
)  # fmt: skip
def test_what_was_not_issued_here_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        TOKENS.subject(token)
    assert not isinstance(caught.value, TokenExpired)


def test_an_expired_token_is_told_from_a_forged_one() -> None:
    with pytest.raises(TokenExpired):
        TOKENS.subject(made(exp=int(time.time()) - 1))


def test_a_token_for_one_audience_is_none_for_another() -> None:
    people, robots = Tokens(KEY, ttl_s=60, audience="people"), Tokens(KEY, ttl_s=60, audience="robots")
    token = people.issue("ann")

    assert people.subject(token) == "ann"
    for other in (robots, TOKENS):
        with pytest.raises(TokenRefused):
            other.subject(token)
    with pytest.raises(TokenRefused):
        people.subject(TOKENS.issue("ann"))


@pytest.mark.parametrize("secret", ["", "  ", "your_secret_key", "a" * 40, "changeme-" * 5 + "now"])
def test_a_placeholder_is_no_key(secret: str) -> None:
    with pytest.raises(ConfigError, match=r"\[auth.people.options.secret_key\].*placeholder"):
        signing_key(SecretStr(secret), "auth.people.options.secret_key")


def test_a_short_key_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="31 bytes; it needs at least 32") as caught:
        signing_key(SecretStr("Zk3p_0dL9vQ2xW7zTtbF8sN1cRq5Hm6"), "auth.people.options.secret_key")
    assert "Zk3p" not in str(caught.value)


def test_a_key_may_have_white_space_round_it() -> None:
    assert signing_key(SecretStr(f" {KEY.decode()}\n"), "") == KEY
