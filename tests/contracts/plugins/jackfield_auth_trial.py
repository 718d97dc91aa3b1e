"""Users with wallets: a bearer token `token-of-WALLET` names its wallet; any other is refused."""

from __future__ import annotations

from jackfield import PluginInfo, Site, hookimpl
from jackfield.contracts.auth import Credentials, Identity
from jackfield.plugin import Options

_PREFIX = "token-of-"


class TrialAuth:
    """Believes every token that looks right."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        token = credentials.bearer or ""
        return Identity(token.removeprefix(_PREFIX).lower()) if token.startswith(_PREFIX) else None

    def same_subject(self, claimed: str, subject: str) -> bool:
        return claimed.lower() == subject


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(kind="auth", name="trial", summary="Believes tokens that look right.")


@hookimpl
def make_auth(options: Options, site: Site) -> TrialAuth:
    return TrialAuth()
