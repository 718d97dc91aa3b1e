"""Keyring: authentication by keys. Whoever brings the key of a user as bearer token is that user."""

from __future__ import annotations

import hashlib
import hmac

from jackfield import ConfigError, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.auth import Credentials, Identity
from jackfield.errors import Problem
from jackfield.secrecy import weakness
from pydantic import Field, SecretStr


class KeyringOptions(Options):
    """What an operator may set under `[auth.NAME.options]`."""

    keys: dict[str, SecretStr] = Field(min_length=1, description="Each user's name, and their key.")


class KeyringAuth:
    """Knows users by their keys. It keeps digests of them, and compares those in constant time."""

    def __init__(self, options: KeyringOptions) -> None:
        keys = {user: key.get_secret_value() for user, key in options.keys.items()}
        self._users = [(Identity(user), _digest(key)) for user, key in keys.items()]

    async def identify(self, credentials: Credentials) -> Identity | None:
        brought = _digest(credentials.bearer or "")
        found = None
        for identity, digest in self._users:  # all of them, so that time says nothing
            if hmac.compare_digest(brought, digest):
                found = identity
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="auth",
        name="keyring",
        summary="A key for each user, as bearer token.",
        options=KeyringOptions,
    )


@hookimpl
def make_auth(options: KeyringOptions, site: Site) -> KeyringAuth:
    section = f"{site.section}.options.keys"
    problems = [
        Problem(section, f'The key of "{user}" {weak}.', "Set a long random one.")
        for user, key in options.keys.items()
        if (weak := weakness(key.get_secret_value()))
    ]
    if problems:
        raise ConfigError(problems)
    return KeyringAuth(options)
