"""Fixed tokens, each of which stands for one user."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from pydantic import Field, SecretStr

from jackfield import ConfigError, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.auth import Credentials, Identity
from jackfield.errors import Problem
from jackfield.plugin import Capabilities
from jackfield.secrecy import is_placeholder, weakness

_HEADER: Final = "x-api-key"
_FIX: Final = 'Set a random one: python -c "import secrets; print(secrets.token_urlsafe(32))"'


class ApiTokenOptions(Options):
    """Options of `api_token`."""

    token: SecretStr = Field(
        SecretStr(""),
        description="The token of the user `default`. While there is none, or only a placeholder such as "
        "`your_token`, everybody is let in as that user, with a warning; production refuses it.",
    )
    tokens: dict[str, SecretStr] = Field(
        default_factory=dict, description="Tokens of more users: the user's id, and the token."
    )

    def users(self) -> dict[str, str]:
        """Every user with a token, and the token."""
        given = {"default": self.token, **self.tokens}
        texts = {user: token.get_secret_value().strip() for user, token in given.items()}
        return {user: text for user, text in texts.items() if text and not is_placeholder(text)}


class ApiTokenAuth:
    """Knows users by tokens, as bearer or in `X-API-Key`. Compares digests in constant time."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = [(Identity(user), _digest(token)) for user, token in users.items()]

    async def identify(self, credentials: Credentials) -> Identity | None:
        if not self._users:
            return Identity("default")
        brought = _digest(credentials.bearer or credentials.headers.get(_HEADER, ""))
        found = None
        for identity, digest in self._users:  # all of them, so that time says nothing
            if hmac.compare_digest(brought, digest):
                found = identity
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="auth",
        name="api_token",
        summary="Fixed tokens, each for one user: bearer or X-API-Key.",
        options=ApiTokenOptions,
        capabilities=lambda options: Capabilities(lets_all_in=not options.users()),
    )


@hookimpl
def make_auth(options: ApiTokenOptions, site: Site) -> ApiTokenAuth:
    users = options.users()
    if len(set(users.values())) < len(users):
        message = "Two users have the same token."
        raise ConfigError([Problem(f"{site.section}.options.tokens", message, _FIX)])
    for user, token in users.items():
        weak = weakness(token)
        if weak and site.production:
            section = f"{site.section}.options"
            raise ConfigError([Problem(section, f'The token of "{user}" {weak}.', _FIX)])
        if weak:
            site.logger.warning("[%s] the token of %r %s; production refuses it", site.section, user, weak)
    return ApiTokenAuth(users)
