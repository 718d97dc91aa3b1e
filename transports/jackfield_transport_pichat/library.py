"""The conversations, messages and settings of users, as clients see them."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from jackfield.contracts.session import Conflict, Conversation, Records, User
from jackfield.errors import FieldError, ProtocolError
from jackfield_transport_pichat import wire
from jackfield_transport_pichat.choices import Choices, Chosen
from jackfield_transport_pichat.payloads import (
    CreateConversation,
    GetMessages,
    ListConversations,
    UpdateConversation,
    UpdateSettings,
    invalid,
)
from jackfield_transport_pichat.wire import Json

FIRST_PAGE: Final = ListConversations()
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Library:
    """Reads and changes records. `owner` is whose, as `Sessions.owner` gives it.

    :raises ProtocolError: 404 `conversation_not_found` for what is unknown, deleted or another user's.
    :raises StoreUnavailable: by every method that waits.
    """

    def __init__(self, records: Records, choices: Choices) -> None:
        self._records = records
        self._choices = choices

    async def conversations(self, owner: str, wanted: ListConversations = FIRST_PAGE) -> Json:
        """Give a page of conversations."""
        try:
            page = await self._records.conversations(owner, limit=wanted.limit, cursor=wanted.cursor)
        except ValueError:
            raise _no_such("cursor") from None
        return wire.conversations_list(page)

    async def create(self, owner: str, wanted: CreateConversation) -> Json:
        """Add a conversation."""
        now = datetime.now(UTC)
        new = Conversation(str(uuid4()), owner, wanted.title, now, now)
        await self._records.add_conversation(new)
        return {"conversation": wire.shown(new)}

    async def conversation(self, owner: str, conversation_id: str) -> Json:
        """Give a conversation."""
        found = await self._records.conversation(owner, checked_id(conversation_id))
        if found is None:
            raise unknown()
        return {"conversation": wire.shown(found)}

    async def details(self, owner: str, conversation_id: str) -> Json:
        """Give a conversation, and how many messages it has."""
        found = await self.conversation(owner, conversation_id)
        count = await self._records.count_records(owner, conversation_id)
        if count is None:
            raise unknown()
        return {**found, "message_count": count}

    async def rename(self, owner: str, wanted: UpdateConversation) -> Json:
        """Give a conversation another title."""
        now = datetime.now(UTC)
        changed = await self._records.rename_conversation(owner, checked_id(wanted.id), wanted.title, now)
        if changed is None:
            raise unknown()
        return {"conversation": wire.shown(changed)}

    async def delete(self, owner: str, conversation_id: str) -> Json:
        """Delete a conversation with its messages."""
        if not await self._records.delete_conversation(owner, checked_id(conversation_id)):
            raise unknown()
        return {"id": conversation_id}

    async def messages(self, owner: str, wanted: GetMessages) -> Json:
        """Give a page of messages."""
        conversation = checked_id(wanted.conversation_id)
        if wanted.before is not None and not _ID.fullmatch(wanted.before):
            raise _no_such("before")
        try:
            page = await self._records.records(owner, conversation, limit=wanted.limit, before=wanted.before)
        except ValueError:
            raise _no_such("before") from None
        if page is None:
            raise unknown()
        return {
            "conversation_id": conversation,
            "messages": [wire.message(record) for record in page.items],
            "has_more": page.next_cursor is not None,
        }

    async def settings(self, owner: str) -> Chosen:
        """Give what a user has chosen."""
        return self._choices.read(await self._records.settings(owner))

    async def change_settings(self, owner: str, wanted: UpdateSettings) -> Chosen:
        """Change what is named, all of it or nothing.

        :raises ProtocolError: 422 `invalid_model` or `invalid_voice`.
        """
        changes = self._choices.changes(wanted)
        if not changes:
            return await self.settings(owner)
        return self._choices.read(await self._records.update_settings(owner, changes))

    async def user(self, owner: str, subject: str) -> Json:
        """Say since when a user is known, which is at least since now."""
        found = await self._records.user(owner)
        if found is None:
            # Subjects may differ in letter case alone, in which names may not.
            name = hashlib.sha256(owner.encode(errors="surrogatepass")).hexdigest()
            found = User(owner, name, datetime.now(UTC))
            try:
                await self._records.add_user(found)
            except Conflict:
                found = await self._records.user(owner) or found
        return {"id": subject, "created_at": wire.timestamp(found.created_at)}


def checked_id(conversation_id: str) -> str:
    """Give an id back that may be one."""
    if not _ID.fullmatch(conversation_id):
        raise unknown()
    return conversation_id


def unknown() -> ProtocolError:
    """The one answer for conversations that are not the user's."""
    return ProtocolError(404, "conversation_not_found", "No such conversation.")


def _no_such(field: str) -> ProtocolError:
    return invalid(FieldError(field, "invalid", "There is nothing of that name here."))
