"""The message that a wallet shows and signs, read strictly by the grammar of EIP-4361."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

MAX_CHARS: Final = 4096

_GRAMMAR: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<domain>[!-.0->A-~]+)"
    r" wants you to sign in with your Ethereum account:\n"
    r"(?P<address>0x[0-9A-Fa-f]{40})\n"
    r"\n"
    r"(?:[ -~]+\n)?"  # the statement
    r"\n"
    r"URI: (?P<uri>[!-~]+)\n"
    r"Version: 1\n"
    r"Chain ID: (?P<chain_id>[0-9]{1,20})\n"
    r"Nonce: (?P<nonce>[A-Za-z0-9]{8,128})\n"
    r"Issued At: (?P<issued_at>[!-~]+)"
    r"(?:\nExpiration Time: (?P<expires_at>[!-~]+))?"
    r"(?:\nNot Before: (?P<not_before>[!-~]+))?"
    r"(?:\nRequest ID: [!-~]*)?"
    r"(?:\nResources:(?:\n- [!-~]+)*)?"
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignInMessage:
    """What of a message has to be checked. `scheme`, `domain` and `address` are in lower case."""

    scheme: str | None
    domain: str
    address: str
    uri: str
    chain_id: int
    nonce: str
    issued_at: datetime
    expires_at: datetime | None
    not_before: datetime | None


def parse_message(text: str) -> SignInMessage | None:
    """Read a message; None for anything that the grammar does not have."""
    found = _GRAMMAR.fullmatch(text) if len(text) <= MAX_CHARS else None
    if found is None:
        return None
    try:
        return SignInMessage(
            scheme=found["scheme"].lower() if found["scheme"] else None,
            domain=found["domain"].lower(),
            address=found["address"].lower(),
            uri=found["uri"],
            chain_id=int(found["chain_id"]),
            nonce=found["nonce"],
            issued_at=_moment(found["issued_at"]),
            expires_at=_moment(found["expires_at"]) if found["expires_at"] else None,
            not_before=_moment(found["not_before"]) if found["not_before"] else None,
        )
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise ValueError("not a time of RFC 3339")
    return datetime.fromisoformat(text.upper())
