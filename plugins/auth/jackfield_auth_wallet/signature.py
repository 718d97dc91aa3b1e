"""Whose key signed a message (ERC-191, as `personal_sign` does)."""

from __future__ import annotations

import re
import sys
from typing import Final

# py_ecc, below these, raises the limit of recursion a hundredfold while it is imported: JSON of a client
# that is nested deep enough would then end the process.
_RECURSION: Final = sys.getrecursionlimit()

from eth_account import Account  # noqa: E402
from eth_account.messages import encode_defunct  # noqa: E402
from eth_keys.exceptions import BadSignature  # noqa: E402
from eth_utils.exceptions import ValidationError  # noqa: E402

sys.setrecursionlimit(_RECURSION)

_OF_ONE_KEY: Final = re.compile(r"0x[0-9A-Fa-f]{130}")


def is_of_one_key(signature: str) -> bool:
    """Whether it has the form of a signature that a key makes; those of contract wallets have others."""
    return bool(_OF_ONE_KEY.fullmatch(signature))


def signer(message: str, signature: str) -> str | None:
    """Give the address, in lower case, of the key that made a signature; None when no key can have.

    Takes some milliseconds of a processor.
    """
    try:
        address = Account.recover_message(encode_defunct(text=message), signature=signature)
    except (ValueError, BadSignature, ValidationError):
        return None
    return str(address).lower()
