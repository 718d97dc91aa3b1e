"""Where a page of a user's conversations ends, as opaque text."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b


def encode(user_id: bytes, position: bytes) -> str:
    """Write a position of that user's list."""
    return urlsafe_b64encode(_digest(user_id) + position).decode()


def decode(user_id: bytes, cursor: str) -> bytes:
    """Read a position.

    :raises ValueError: when it is not one of that user's list.
    """
    try:
        data = urlsafe_b64decode(cursor.encode())
    except ValueError as error:
        raise ValueError("This is not a cursor. Give the `next_cursor` of a page unchanged.") from error
    size = len(_digest(b""))
    if len(data) <= size or data[:size] != _digest(user_id):
        raise ValueError("This is no cursor of this list. Give the `next_cursor` of its page unchanged.")
    return data[size:]


def _digest(user_id: bytes) -> bytes:
    return blake2b(user_id, digest_size=8).digest()
