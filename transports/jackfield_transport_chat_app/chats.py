"""The chats of users, as the session store keeps them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from jackfield.contracts.panel import Sessions
from jackfield.contracts.session import Conversation, Page, Record, Records
from jackfield_transport_chat_app.events import message, wire_time
from jackfield_transport_chat_app.fields import bad_cursor, is_chat_id, no_such_chat

DEFAULT_TITLE: Final = "New chat"
_PREVIEW_CHARS: Final = 120

_Json = dict[str, Any]


class Chats:
    """Finds, lists and makes chats. `owner` is the user of the records.

    :raises StoreUnavailable: by every method that asks the store.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @property
    def records(self) -> Records:
        """The store, which the server made sure of before it started."""
        assert self._sessions.records is not None
        return self._sessions.records

    async def get(self, owner: str, chat_id: str) -> Conversation:
        """Give a chat.

        :raises ProtocolError: 404 `chat_not_found` when it is unknown, malformed, or another user's.
        """
        found = await self.records.conversation(owner, chat_id) if is_chat_id(chat_id) else None
        if found is None:
            raise no_such_chat()
        return found

    async def create(self, owner: str, title: str | None) -> Conversation:
        """Make an empty chat."""
        now = datetime.now(UTC)
        chat = Conversation(new_chat_id(), owner, title or DEFAULT_TITLE, now, now)
        await self.records.add_conversation(chat)
        return chat

    async def history(
        self, owner: str, chat_id: str, *, limit: int, cursor: str | None = None
    ) -> Page[Record]:
        """Give the newest messages before the cursor, oldest first.

        :raises ProtocolError: 404 `chat_not_found`; 422 for a cursor of something else.
        """
        if not is_chat_id(chat_id):
            raise no_such_chat()
        try:
            page = await self.records.records(owner, chat_id, limit=limit, before=cursor)
        except ValueError:
            raise bad_cursor() from None
        if page is None:
            raise no_such_chat()
        return page

    async def listed(self, owner: str, *, limit: int, cursor: str | None) -> _Json:
        """Give part of the list, newest first, each chat with a preview.

        :raises ProtocolError: 422 for a cursor of something else.
        """
        try:
            page = await self.records.conversations(owner, limit=limit, cursor=cursor)
        except ValueError:
            raise bad_cursor() from None
        chats = [await self._preview(owner, chat) for chat in page.items]
        return {"chats": chats, "next_cursor": page.next_cursor}

    async def _preview(self, owner: str, chat: Conversation) -> _Json:
        count = await self.records.count_records(owner, chat.id)
        newest = await self.records.records(owner, chat.id, limit=1)
        last = newest.items[-1].content[:_PREVIEW_CHARS] if newest and newest.items else None
        return {**envelope(chat), "message_count": count or 0, "last_message": last}


def envelope(chat: Conversation) -> _Json:
    """What is told of every chat."""
    updated_at = max(chat.updated_at, chat.last_message_at or chat.updated_at)
    return {
        "id": chat.id,
        "title": chat.title,
        "created_at": wire_time(chat.created_at),
        "updated_at": wire_time(updated_at),
    }


def whole(chat: Conversation, page: Page[Record]) -> _Json:
    """A chat with a page of its messages."""
    messages = [message(record) for record in page.items]
    return {**envelope(chat), "messages": messages, "next_cursor": page.next_cursor}


def new_chat_id() -> str:
    """An id that nobody can guess."""
    return str(uuid4())
