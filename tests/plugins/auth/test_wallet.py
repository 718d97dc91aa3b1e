"""Wallets: the promises of their kind, the grammar of the message, and whose signature it is."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from pydantic import ValidationError

from jackfield import ConfigError, ProtocolError, Site
from jackfield.contracts.auth import Auth, Credentials
from jackfield.testing import AuthSuite
from jackfield.tokens import Tokens
from jackfield_auth_wallet import WalletOptions, make_auth, plugin_info
from jackfield_auth_wallet.message import SignInMessage, parse_message
from jackfield_auth_wallet.signature import is_of_one_key, signer
from jackfield_auth_wallet.wallet import WalletAuth

pytestmark = pytest.mark.anyio

KEY: Final = "Zk3p_0dL9vQ2xW7zTtbF8sN1cRq5Hm6JgKe4"
ADDRESS: Final = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
MESSAGE: Final = f"""\
example.org wants you to sign in with your Ethereum account:
{ADDRESS}

Sign in to the chat.

URI: https://example.org/login
Version: 1
Chain ID: 1
Nonce: a1B2c3D4e5F6g7H8
Issued At: 2025-01-05T12:00:00Z
Expiration Time: 2025-01-05T12:10:00Z"""
SIGNATURE: Final = (
    "0x2b942409a172bb4aa856437a5f44158ddba29e71dd9dc172fc0043b9c1d907ee"
    "25a97ad4d662453a0a73fd9e057bce9e3be920f0b8f3f0fcf19ceb2623f4e0a01c"
)


def made(**options: Any) -> WalletAuth:
    site = Site("auth.wallets", "wallet", logging.getLogger("test"))
    given = {"secret_key": KEY, "domain": "example.org", **options}
    return make_auth(WalletOptions.model_validate(given), site)


class TestConformance(AuthSuite):
    subject = ADDRESS.lower()

    @pytest.fixture
    async def auth(self) -> AsyncIterator[Auth]:
        async with made() as auth:
            yield auth

    @pytest.fixture
    def credentials(self) -> Credentials:
        return Credentials(Tokens(KEY.encode(), ttl_s=60, audience="auth.wallets").issue(ADDRESS.lower()))


async def test_an_expired_token_is_told_so() -> None:
    old = Tokens(KEY.encode(), ttl_s=-1, audience="auth.wallets").issue(ADDRESS.lower())
    with pytest.raises(ProtocolError, match="401 not_authenticated: Token has expired"):
        await made().identify(Credentials(old))


async def test_a_token_of_another_section_with_the_same_key_is_refused() -> None:
    for other in ("auth.others", None):
        token = Tokens(KEY.encode(), ttl_s=60, audience=other).issue(ADDRESS.lower())
        assert await made().identify(Credentials(token)) is None


def test_an_address_is_the_same_in_any_letters() -> None:
    assert made().same_subject(ADDRESS, ADDRESS.lower())
    assert not made().same_subject(ADDRESS[:-1], ADDRESS.lower())


def test_it_needs_a_place_for_nonces() -> None:
    options = WalletOptions.model_validate({"secret_key": KEY, "domain": "example.org"})
    assert plugin_info().capabilities(options).roles == ("shared",)


def test_a_key_that_can_be_guessed_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"\[auth.wallets.options.secret_key\].*placeholder"):
        made(secret_key="your_secret_key")


@pytest.mark.parametrize("domain", ["", "https://example.org", "example.org/login", "a b", "me@example.org"])
def test_a_domain_is_a_host_and_nothing_else(domain: str) -> None:
    with pytest.raises(ValidationError, match="domain"):
        made(domain=domain)


def test_everything_of_a_message_is_read() -> None:
    assert parse_message(MESSAGE) == SignInMessage(
        scheme=None,
        domain="example.org",
        address=ADDRESS.lower(),
        uri="https://example.org/login",
        chain_id=1,
        nonce="a1B2c3D4e5F6g7H8",
        issued_at=datetime(2025, 1, 5, 12, tzinfo=UTC),
        expires_at=datetime(2025, 1, 5, 12, 10, tzinfo=UTC),
        not_before=None,
    )


def changed(old: str, new: str) -> str:
    assert old in MESSAGE
    return MESSAGE.replace(old, new)


@pytest.mark.parametrize(
    "text",
    [
        changed("\nSign in to the chat.\n", "\n"),
        changed("example.org wants", "https://example.org:8443 wants"),
        changed("\nExpiration Time: 2025-01-05T12:10:00Z", ""),
        MESSAGE + "\nNot Before: 2025-01-05T11:00:00.123456789+01:00\nRequest ID: r-1",
        MESSAGE + "\nRequest ID: \nResources:\n- https://example.org/a\n- ipfs://b",
        MESSAGE + "\nResources:",
    ],
    ids=["no statement", "scheme and port", "no end", "not before", "resources", "no resources"],
)
def test_what_the_grammar_leaves_open_is_accepted(text: str) -> None:
    assert parse_message(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        MESSAGE + "\n",
        " " + MESSAGE,
        MESSAGE.replace("\n", "\r\n"),
        changed("\n\nSign in to the chat.\n\n", "\n\n"),
        changed("Sign in to the chat.", "Sign in\nto the chat."),
        changed("Sign in to the chat.", "Sign in \u202e to the chat."),
        changed("Version: 1", "Version: 2"),
        changed("Chain ID: 1", "Chain ID: one"),
        changed("Chain ID: 1", "Chain ID: \u0661"),
        changed("a1B2c3D4e5F6g7H8", "a1B2c3D"),
        changed("a1B2c3D4e5F6g7H8", "a1B2-c3D4"),
        changed(ADDRESS, ADDRESS[:-1]),
        changed("Issued At: 2025-01-05T12:00:00Z", "Issued At: 2025-01-05T12:00:00"),
        changed("Issued At: 2025-01-05T12:00:00Z", "Issued At: 2025-13-05T12:00:00Z"),
        changed("Issued At: 2025-01-05T12:00:00Z", "Issued At: 2025-01-05"),
        changed(
            "Nonce: a1B2c3D4e5F6g7H8\nIssued At: 2025-01-05T12:00:00Z", "Issued At: 2025-01-05T12:00:00Z"
        ),
        changed("example.org wants", "example.org@evil.example wants"),
        changed("example.org wants", " wants"),
        changed("Sign in to the chat.", "x" * 5000),
    ],
)
def test_anything_else_is_no_message(text: str) -> None:
    assert parse_message(text) is None


def test_the_signer_is_known_by_a_signature_that_was_made_elsewhere() -> None:
    assert signer(MESSAGE, SIGNATURE) == ADDRESS.lower()


def test_another_message_or_signature_names_nobody_or_another() -> None:
    assert signer(MESSAGE + " ", SIGNATURE) != ADDRESS.lower()
    for broken in ("0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "11" * 65, SIGNATURE[:-2] + "02"):
        assert signer(MESSAGE, broken) is None


def test_some_wallets_count_from_zero() -> None:
    assert signer(MESSAGE, SIGNATURE[:-2] + "01") == ADDRESS.lower()


@pytest.mark.parametrize("signature", ["", "0x", SIGNATURE[2:], SIGNATURE + "00", SIGNATURE[:-1] + "g", "\n"])
def test_what_is_not_of_one_key_is_told_by_its_form(signature: str) -> None:
    assert not is_of_one_key(signature)
    assert is_of_one_key(SIGNATURE)
