"""Signed tokens that plugins hand out to those who sign in: JSON Web Tokens, HMAC with SHA-256."""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

from pydantic import SecretStr

from jackfield.errors import ConfigError, Problem
from jackfield.secrecy import is_placeholder

LEAST_KEY_BYTES: Final = 32
MOST_TOKEN_CHARS: Final = 4096
_ALGORITHM: Final = "HS256"
_MAKE_ONE: Final = 'Set a random one: python -c "import secrets; print(secrets.token_urlsafe(48))"'


class TokenRefused(Exception):
    """Raised for a token that proves nothing: forged, damaged, or meant for somebody else."""


class TokenExpired(TokenRefused):
    """Raised for a token that was good once."""


def signing_key(secret: SecretStr, key: str) -> bytes:
    """Give the bytes of a secret that tokens are signed with; `key` is where in the file it stands.

    :raises ConfigError: for a placeholder, and for one that can be guessed.
    """
    text = secret.get_secret_value().strip()
    if not text or is_placeholder(text):
        raise ConfigError([Problem(key, "It holds no secret, or only a placeholder.", _MAKE_ONE)])
    data = text.encode(errors="surrogatepass")
    if len(data) < LEAST_KEY_BYTES:
        message = f"It has {len(data)} bytes; it needs at least {LEAST_KEY_BYTES}."
        raise ConfigError([Problem(key, message, _MAKE_ONE)])
    return data


class Tokens:
    """Issues tokens and knows them again. They say whom they are for and when they expire, and no more.

    Only tokens with the same `audience` are known again. A token cannot be withdrawn. Needs PyJWT.
    """

    def __init__(self, key: bytes, *, ttl_s: int, audience: str | None = None) -> None:
        import jwt

        self.ttl_s = ttl_s
        self._key = key
        self._audience = audience
        self._jwt = jwt.PyJWT({"require": ["exp", "sub"], "verify_iat": False, "verify_sub": True})
        self._expired = jwt.ExpiredSignatureError
        self._refused = jwt.InvalidTokenError

    def issue(self, subject: str) -> str:
        """Make a token for a subject, good from now on."""
        now_s = int(time.time())
        claims: dict[str, Any] = {"sub": subject, "iat": now_s, "exp": now_s + self.ttl_s}
        claims["jti"] = secrets.token_urlsafe(16)
        if self._audience is not None:
            claims["aud"] = self._audience
        return self._jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def subject(self, token: str) -> str:
        """Give the subject of a token.

        :raises TokenExpired: when it was good once.
        :raises TokenRefused: when it proves nothing.
        """
        if len(token) > MOST_TOKEN_CHARS or not token.isascii():
            raise TokenRefused
        try:
            claims = self._jwt.decode(token, self._key, algorithms=[_ALGORITHM], audience=self._audience)
        except self._expired as error:
            raise TokenExpired from error
        except self._refused as error:
            raise TokenRefused from error
        return str(claims["sub"])
