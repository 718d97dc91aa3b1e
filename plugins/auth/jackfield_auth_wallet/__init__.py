"""Wallets: users sign a message with the key of their Ethereum account (EIP-4361) and get a signed token.

`GET /auth/nonce` and `POST /auth/verify`, under the mount of every door that names the section. Nonces are in
the session store's role `shared`, so any number of servers may share it. A user is the address in lower case.
What it cannot do: contract wallets, whose signatures only a node of their chain can check, and withdrawing a
token before it expires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl

if TYPE_CHECKING:
    from jackfield_auth_wallet.wallet import WalletAuth


def _authority(domain: str) -> str:
    if not domain or any(character in domain for character in "/?#@ "):
        raise ValueError(
            "give the host of the page, with its port if it has one: example.org, localhost:3000"
        )
    return domain.lower()


class WalletOptions(Options):
    """Options of `wallet`."""

    secret_key: SecretStr = Field(
        description="Signs the tokens: at least 32 bytes, random. Whoever knows it can be anybody; changing "
        "it signs everybody out."
    )
    domain: Annotated[str, AfterValidator(_authority)] = Field(
        description="Host of the page that asks its users to sign, with its port if it has one: "
        "`example.org`. Messages that were signed for any other page are refused."
    )
    scheme: Literal["https", "http"] = Field("https", description="Scheme of that page.")
    chain_ids: tuple[int, ...] = Field((1,), min_length=1, description="Chains that a message may be for.")
    token_ttl_s: int = Field(1800, ge=1, le=31_536_000, description="Seconds that a token is good for.")
    nonce_ttl_s: int = Field(300, ge=1, le=3600, description="Seconds within which a nonce must be used.")
    message_ttl_s: int = Field(
        600, ge=1, le=86_400, description="Seconds after `Issued At` within which a message must arrive."
    )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="auth",
        name="wallet",
        summary="Users who sign in with an Ethereum wallet (EIP-4361).",
        options=WalletOptions,
        extra="jackfield[wallet]",
        capabilities=lambda _options: Capabilities(roles=("shared",)),
    )


@hookimpl
def make_auth(options: WalletOptions, site: Site) -> WalletAuth:
    from jackfield.tokens import Tokens, signing_key
    from jackfield_auth_wallet.wallet import WalletAuth

    key = signing_key(options.secret_key, f"{site.section}.options.secret_key")
    return WalletAuth(options, site, Tokens(key, ttl_s=options.token_ttl_s, audience=site.section))
