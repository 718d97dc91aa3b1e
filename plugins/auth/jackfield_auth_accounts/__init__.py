"""Accounts: users register with an e-mail address and a password, sign in, and bring a signed token.

`POST /register`, `POST /token` and `GET /users/me`, under the mount of every door that names the section. The
accounts are in the session store's role `records`, failed attempts are counted in its role `shared`, so any
number of servers may share both. What it cannot do: withdraw a token before it expires (a disabled or deleted
account is refused at once), change a password, send e-mail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl

if TYPE_CHECKING:
    from jackfield_auth_accounts.accounts import AccountsAuth


class AccountsOptions(Options):
    """Options of `accounts`."""

    secret_key: SecretStr = Field(
        description="Signs the tokens: at least 32 bytes, random. Whoever knows it can be anybody; changing "
        "it signs everybody out."
    )
    token_ttl_s: int = Field(1800, ge=1, le=31_536_000, description="Seconds that a token is good for.")
    cookie: bool = Field(
        False,
        description="Whether `/token` also sets the token as a cookie, `HttpOnly; Secure; SameSite=Lax`, "
        "that is accepted wherever the header is. What may change something then needs an `Origin` of "
        "`cors_origins`, or of this server.",
    )
    registration: Literal["open", "closed"] = Field(
        "open", description="Whether anybody may register; `closed` keeps the accounts that there are."
    )
    registrations_per_hour: int = Field(
        5, ge=1, description="Registrations within an hour from one address, successful or not."
    )
    failures: int = Field(
        10,
        ge=1,
        description="Failed sign-ins within `failure_window_s` for one e-mail address, or from one address.",
    )
    failure_window_s: int = Field(
        900, ge=1, description="Seconds after which failed sign-ins are forgotten, counted from the first."
    )
    hashing_workers: int = Field(
        2, ge=1, le=64, description="Passwords that are hashed at once, each in a thread; others wait."
    )
    hash_memory_kib: int = Field(
        65_536,
        ge=8192,
        le=4_194_304,
        description="Memory of one hash, in KiB: the cost of Argon2id in memory.",
    )
    hash_rounds: int = Field(3, ge=1, le=100, description="Passes over that memory: the cost in time.")
    hash_lanes: int = Field(4, ge=1, le=64, description="Threads that one hash may use.")


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="auth",
        name="accounts",
        summary="Users with an e-mail address and a password, who sign in for a token.",
        options=AccountsOptions,
        extra="jackfield[accounts]",
        capabilities=lambda _options: Capabilities(roles=("records", "shared")),
    )


@hookimpl
def make_auth(options: AccountsOptions, site: Site) -> AccountsAuth:
    from jackfield.tokens import Tokens, signing_key
    from jackfield_auth_accounts.accounts import AccountsAuth
    from jackfield_auth_accounts.passwords import Passwords

    key = signing_key(options.secret_key, f"{site.section}.options.secret_key")
    passwords = Passwords(
        memory_kib=options.hash_memory_kib,
        rounds=options.hash_rounds,
        lanes=options.hash_lanes,
        workers=options.hashing_workers,
    )
    return AccountsAuth(options, site, Tokens(key, ttl_s=options.token_ttl_s), passwords)
