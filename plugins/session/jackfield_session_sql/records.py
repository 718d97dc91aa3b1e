"""Conversations and their messages, until they are deleted: the greater part of the records role."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import (
    Integer,
    Select,
    String,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from jackfield.contracts.session import Conflict, Conversation, Page, Record
from jackfield_session_sql.cursor import Cursor
from jackfield_session_sql.database import AnyRow, Database
from jackfield_session_sql.tables import AnyText, Identifier, Moment, conversations, messages

_LIMIT: Final = bindparam("most", type_=Integer)
_AT: Final = bindparam("at", type_=Moment)
_OWN: Final = (
    conversations.c.id == bindparam("of_conversation", type_=Identifier),
    conversations.c.user_id == bindparam("of_user", type_=Identifier),
)
_BEFORE_ID: Final = bindparam("before_id", type_=Identifier)
_ENVELOPE: Final = (
    conversations.c.id,
    conversations.c.user_id,
    conversations.c.title,
    conversations.c.created_at,
    conversations.c.updated_at,
    conversations.c.last_message_at,
)
_MESSAGE: Final = (
    messages.c.id,
    messages.c.conversation_id,
    messages.c.role,
    messages.c.content,
    messages.c.created_at,
    messages.c.is_audio,
    messages.c.status,
)
_LATEST: Final = case(
    (or_(conversations.c.last_message_at.is_(None), conversations.c.last_message_at < _AT), _AT),
    else_=conversations.c.last_message_at,
)

ADD_CONVERSATION: Final = insert(conversations)
CONVERSATION: Final = select(*_ENVELOPE).where(*_OWN)
CONVERSATIONS: Final = (
    select(*_ENVELOPE, conversations.c.used_at)
    .where(conversations.c.user_id == bindparam("of_user", type_=Identifier))
    .order_by(conversations.c.used_at.desc(), conversations.c.id.desc())
    .limit(_LIMIT)
)
MORE_CONVERSATIONS: Final = CONVERSATIONS.where(
    conversations.c.used_at <= _AT,
    or_(conversations.c.used_at < _AT, conversations.c.id < bindparam("after_id", type_=Identifier)),
)
RENAME: Final = (
    update(conversations)
    .where(*_OWN)
    .values(title=bindparam("new_title", type_=AnyText), updated_at=_AT)
    .returning(*_ENVELOPE)
)
DELETE_CONVERSATION: Final = delete(conversations).where(*_OWN)
USE_CONVERSATION: Final = (
    update(conversations)
    .where(*_OWN)
    .values(
        last_message_at=_LATEST,
        used_at=_LATEST,
        updated_at=case((conversations.c.updated_at < _LATEST, _LATEST), else_=conversations.c.updated_at),
    )
)
ADD_RECORDS: Final = insert(messages)
SET_STATUS: Final = (
    update(messages)
    .where(
        messages.c.id == bindparam("of_record", type_=Identifier),
        exists().where(
            conversations.c.id == messages.c.conversation_id,
            conversations.c.user_id == bindparam("of_user", type_=Identifier),
        ),
    )
    .values(status=bindparam("new_status", type_=String))
)
POSITION: Final = select(
    select(messages.c.position)
    .where(messages.c.id == _BEFORE_ID, messages.c.conversation_id == conversations.c.id)
    .scalar_subquery()
    .label("position")
).where(*_OWN)
RECORDS: Final = (
    select(*_MESSAGE)
    .where(messages.c.conversation_id == bindparam("of_conversation", type_=Identifier))
    .order_by(messages.c.position.desc())
    .limit(_LIMIT)
)
OLDER_RECORDS: Final = RECORDS.where(
    messages.c.position < bindparam("before_position", type_=messages.c.position.type)
)
COUNT: Final = select(
    select(func.count())
    .where(messages.c.conversation_id == conversations.c.id)
    .scalar_subquery()
    .label("amount")
).where(*_OWN)


class SqlRecords:
    """Conversations, reached only by naming the user, and messages in the order in which they were added."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_conversation(self, conversation: Conversation) -> None:
        row = {
            "id": conversation.id,
            "user_id": conversation.user_id,
            "title": conversation.title,
            "created_at": conversation.created_at,
            "updated_at": conversation.updated_at,
            "last_message_at": conversation.last_message_at,
            "used_at": conversation.last_message_at or conversation.created_at,
        }
        try:
            await self._database.change(ADD_CONVERSATION, row)
        except IntegrityError:
            raise Conflict("The conversation's id is taken.") from None

    async def conversation(self, user_id: str, conversation_id: str) -> Conversation | None:
        rows = await self._database.read(CONVERSATION, _own(user_id, conversation_id))
        return Conversation(**rows[0]._mapping) if rows else None

    async def conversations(
        self, user_id: str, *, limit: int, cursor: str | None = None
    ) -> Page[Conversation]:
        statement, values = CONVERSATIONS, {"of_user": user_id, "most": limit + 1}
        if cursor is not None:
            after = Cursor.read(user_id, cursor)
            statement = MORE_CONVERSATIONS
            values |= {"at": after.used_at, "after_id": after.conversation_id}
        rows = await self._database.read(statement, values)
        items = tuple(_conversation(row) for row in rows[:limit])
        if not len(rows) > limit > 0:
            return Page(items)
        last = rows[limit - 1]
        return Page(items, str(Cursor(user_id, last.used_at, last.id)))

    async def rename_conversation(
        self, user_id: str, conversation_id: str, title: str, at: datetime
    ) -> Conversation | None:
        values = {**_own(user_id, conversation_id), "new_title": title, "at": at}
        rows = await self._database.write(RENAME, values)
        return Conversation(**rows[0]._mapping) if rows else None

    async def delete_conversation(self, user_id: str, conversation_id: str) -> bool:
        own = _own(user_id, conversation_id)
        return await self._database.change(DELETE_CONVERSATION, own) > 0

    async def add_records(self, user_id: str, records: Sequence[Record]) -> bool:
        if not records:
            return True
        conversation_ids = {record.conversation_id for record in records}
        if len(conversation_ids) > 1:
            raise ValueError("Records of several conversations cannot be added as one step.")
        newest = max(record.created_at for record in records)
        own = {**_own(user_id, conversation_ids.pop()), "at": newest}
        try:
            async with self._database.transaction() as connection:
                # Holds the conversation, so that those of one step lie side by side.
                if (await connection.execute(USE_CONVERSATION, own)).rowcount == 0:
                    return False
                await connection.execute(ADD_RECORDS, [_row(record) for record in records])
        except IntegrityError:
            raise Conflict("A message's id is taken.") from None
        return True

    async def set_record_status(
        self, user_id: str, record_id: str, status: Literal["ok", "unanswered"]
    ) -> bool:
        values = {"of_user": user_id, "of_record": record_id, "new_status": status}
        return await self._database.change(SET_STATUS, values) > 0

    async def records(
        self, user_id: str, conversation_id: str, *, limit: int, before: str | None = None
    ) -> Page[Record] | None:
        own = _own(user_id, conversation_id)
        async with self._database.reading() as connection:
            found = (await connection.execute(POSITION, {**own, "before_id": before})).first()
            if found is None:
                return None
            if before is not None and found.position is None:
                raise ValueError("`before` names no message of this conversation.")
            statement, values = _page_of(conversation_id, limit, found.position)
            rows = (await connection.execute(statement, values)).all()
        return _page(rows, limit)

    async def count_records(self, user_id: str, conversation_id: str) -> int | None:
        rows = await self._database.read(COUNT, _own(user_id, conversation_id))
        return int(rows[0].amount) if rows else None


def _conversation(row: AnyRow) -> Conversation:
    """Make a conversation of a row of a list, which also says when it was used."""
    *envelope, _used_at = row
    return Conversation(*envelope)


def _own(user_id: str, conversation_id: str) -> dict[str, Any]:
    return {"of_user": user_id, "of_conversation": conversation_id}


def _page_of(conversation_id: str, limit: int, position: int | None) -> tuple[Select[Any], dict[str, Any]]:
    values = {"of_conversation": conversation_id, "most": limit + 1}
    if position is None:
        return RECORDS, values
    return OLDER_RECORDS, {**values, "before_position": position}


def _page(rows: Sequence[AnyRow], limit: int) -> Page[Record]:
    """Make a page of messages, oldest first, of rows, newest first, of which one may be too many."""
    items = tuple(Record(**row._mapping) for row in reversed(rows[:limit]))
    return Page(items, items[0].id if len(rows) > limit > 0 else None)


def _row(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "conversation_id": record.conversation_id,
        "role": record.role,
        "content": record.content,
        "is_audio": record.is_audio,
        "status": record.status,
        "created_at": record.created_at,
    }
