"""Where a page of a user's conversations ends, as text that means something to this store alone."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from jackfield_session_sql.tables import digest


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last conversation of a page: whose it is, when it was used, and its id."""

    user_id: str
    used_at: datetime
    conversation_id: str

    def __str__(self) -> str:
        parts = [self._owner(self.user_id), self.used_at.isoformat(), self.conversation_id]
        return urlsafe_b64encode(json.dumps(parts).encode()).decode()

    @classmethod
    def read(cls, user_id: str, text: str) -> Self:
        """Read one of that user's list.

        :raises ValueError: when it is none.
        """
        try:
            owner, used_at, conversation_id = json.loads(urlsafe_b64decode(text.encode()))
            cursor = cls(user_id, datetime.fromisoformat(used_at), str(conversation_id))
        except (ValueError, TypeError):
            raise ValueError("This is not a cursor. Give the `next_cursor` of a page unchanged.") from None
        if owner != cls._owner(user_id) or cursor.used_at.tzinfo is None:
            raise ValueError("This cursor is of another list. Give the `next_cursor` of this list's page.")
        return cursor

    @staticmethod
    def _owner(user_id: str) -> str:
        return digest(user_id)[:8].hex()
