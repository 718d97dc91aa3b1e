"""A wallet: an Ethereum account whose key the tests know, and the messages that it signs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

# First: it undoes what eth_account does to the whole process.
import jackfield_auth_wallet.signature  # noqa: F401  # isort: skip
from eth_account import Account
from eth_account.messages import encode_defunct

DOMAIN: Final = "chat.example.org"


def moment(seconds: float = 0) -> str:
    """A moment so many seconds from now."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


class Wallet:
    """An account of one key."""

    def __init__(self, key: bytes = b"\x11" * 32) -> None:
        self._account = Account.from_key(key)
        self.address: str = self._account.address
        """With the capitals of its checksum."""

    def message(
        self,
        nonce: str,
        *,
        domain: str = DOMAIN,
        uri: str = f"https://{DOMAIN}/login",
        chain_id: int = 1,
        issued_at: str | None = None,
        more: str = "",
    ) -> str:
        """What a page has the wallet sign."""
        return (
            f"{domain} wants you to sign in with your Ethereum account:\n{self.address}\n\n"
            f"Sign in to the chat.\n\nURI: {uri}\nVersion: 1\nChain ID: {chain_id}\nNonce: {nonce}\n"
            f"Issued At: {issued_at or moment()}{more}"
        )

    def sign(self, message: str) -> str:
        """Sign as `personal_sign` does."""
        signed = self._account.sign_message(encode_defunct(text=message))
        return f"0x{bytes(signed.signature).hex()}"

    def sign_in(self, client: httpx.Client) -> str:
        """Sign in and give the token."""
        message = self.message(client.get("/auth/nonce").raise_for_status().json()["nonce"])
        body = {"message": message, "signature": self.sign(message)}
        token: str = client.post("/auth/verify", json=body).raise_for_status().json()["access_token"]
        return token
