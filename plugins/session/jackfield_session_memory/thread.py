"""A conversation's envelope and messages, as the memory store keeps them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from jackfield.contracts.session import Conversation, Page, Record

RECORD_BYTES: Final = 400
"""Estimate of what a record takes beside its content."""
CONVERSATION_BYTES: Final = 1000
"""Estimate of what a conversation takes beside its title and messages."""


@dataclass(slots=True)
class Thread:
    """A conversation. Messages stay in the order in which they were added."""

    conversation: Conversation
    records: list[Record] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)

    @property
    def used_at(self) -> datetime:
        """When it was last used, or made."""
        return self.conversation.last_message_at or self.conversation.created_at

    @property
    def size_bytes(self) -> int:
        """Estimate of the memory it takes."""
        return CONVERSATION_BYTES + sys.getsizeof(self.conversation.title) + records_bytes(self.records)

    def add(self, records: Sequence[Record]) -> None:
        """Add messages, and note when the newest was written."""
        for record in records:
            self.positions[record.id] = len(self.records)
            self.records.append(record)
        newest = max(record.created_at for record in records)
        at = max(newest, self.conversation.last_message_at or newest)
        updated_at = max(at, self.conversation.updated_at)
        self.conversation = replace(self.conversation, last_message_at=at, updated_at=updated_at)

    def mark(self, record_id: str, status: Literal["ok", "unanswered"]) -> None:
        """Change the status of one message."""
        at = self.positions[record_id]
        self.records[at] = replace(self.records[at], status=status)

    def page(self, limit: int, before: str | None) -> Page[Record]:
        """Give the newest messages before one, oldest first.

        :raises ValueError: when `before` is no message of this conversation.
        """
        if before is not None and before not in self.positions:
            raise ValueError("`before` names no message of this conversation.")
        end = len(self.records) if before is None else self.positions[before]
        start = max(0, end - limit)
        older = self.records[start].id if 0 < start < end else None
        return Page(tuple(self.records[start:end]), older)


def records_bytes(records: Iterable[Record]) -> int:
    """Estimate of the memory that messages take."""
    return sum(RECORD_BYTES + sys.getsizeof(record.content) for record in records)
