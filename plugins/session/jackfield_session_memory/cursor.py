"""Where a page of a user's conversations ends, as opaque text."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from hashlib import blake2b

Position = tuple[datetime, str]
"""When a conversation was last used, and its id."""


def encode(user_id: str, position: Position) -> str:
    """Write a position of that user's list."""
    used_at, conversation_id = position
    parts = json.dumps([_digest(user_id), used_at.isoformat(), conversation_id])
    return urlsafe_b64encode(parts.encode()).decode()


def decode(user_id: str, cursor: str) -> Position:
    """Read a position.

    :raises ValueError: when it is not one of that user's list.
    """
    try:
        owner, used_at, conversation_id = json.loads(urlsafe_b64decode(cursor.encode()))
        position = datetime.fromisoformat(used_at), str(conversation_id)
    except (ValueError, TypeError) as error:
        raise ValueError("This is not a cursor. Give the `next_cursor` of a page unchanged.") from error
    if owner != _digest(user_id) or position[0].tzinfo is None:
        raise ValueError("This cursor belongs to another list. Give the `next_cursor` of this list's page.")
    return position


def _digest(user_id: str) -> str:
    return blake2b(user_id.encode(), digest_size=8).hexdigest()
