"""The records role: accounts, conversations, messages and settings, until they are deleted."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal

from jackfield import StoreUnavailable
from jackfield.contracts.json_object import json_object, json_text
from jackfield.contracts.session import Conflict, Conversation, Page, Record, User
from jackfield_session_memory import cursor as cursors
from jackfield_session_memory.options import MemoryOptions
from jackfield_session_memory.thread import Thread, records_bytes

_USER_BYTES: Final = 1000
_SETTINGS_BYTES: Final = 300


class MemoryRecords:
    """Durable things, as long as the process lives. Full, it refuses; it never gives up a record."""

    def __init__(self, options: MemoryOptions) -> None:
        self._max_users = options.max_users
        self._max_conversations = options.max_conversations
        self._max_records_bytes = options.max_records_bytes
        self._users: dict[str, User] = {}
        self._ids_by_name: dict[str, str] = {}
        self._ids_by_email: dict[str, str] = {}
        self._settings: dict[str, str] = {}
        self._threads: dict[str, Thread] = {}
        self._threads_of: dict[str, dict[str, Thread]] = {}
        self._thread_of_record: dict[str, Thread] = {}
        self._records_bytes = 0

    async def add_user(self, user: User) -> None:
        name, email = user.name.casefold(), (user.email or "").casefold()
        taken = user.id in self._users or name in self._ids_by_name or (email and email in self._ids_by_email)
        if taken:
            raise Conflict("The id, the name or the e-mail address is taken.")
        self._need_room(_USER_BYTES, len(self._users), self._max_users, "max_users")
        self._users[user.id] = user
        self._ids_by_name[name] = user.id
        if email:
            self._ids_by_email[email] = user.id
        self._records_bytes += _USER_BYTES

    async def user(self, user_id: str) -> User | None:
        return self._users.get(user_id)

    async def user_by_name(self, name: str) -> User | None:
        user_id = self._ids_by_name.get(name.casefold())
        return None if user_id is None else self._users[user_id]

    async def add_conversation(self, conversation: Conversation) -> None:
        if conversation.id in self._threads:
            raise Conflict("The conversation's id is taken.")
        thread = Thread(conversation)
        self._need_room(thread.size_bytes, len(self._threads), self._max_conversations, "max_conversations")
        self._threads[conversation.id] = thread
        self._threads_of.setdefault(conversation.user_id, {})[conversation.id] = thread
        self._records_bytes += thread.size_bytes

    async def conversation(self, user_id: str, conversation_id: str) -> Conversation | None:
        thread = self._thread(user_id, conversation_id)
        return None if thread is None else thread.conversation

    async def conversations(
        self, user_id: str, *, limit: int, cursor: str | None = None
    ) -> Page[Conversation]:
        after = None if cursor is None else cursors.decode(user_id, cursor)
        listed = [(thread.used_at, key) for key, thread in self._threads_of.get(user_id, {}).items()]
        rest = listed if after is None else [position for position in listed if position < after]
        found = heapq.nlargest(limit + 1, rest)
        items = tuple(self._threads[key].conversation for _used_at, key in found[:limit])
        more = len(found) > limit > 0
        return Page(items, cursors.encode(user_id, found[limit - 1]) if more else None)

    async def rename_conversation(
        self, user_id: str, conversation_id: str, title: str, at: datetime
    ) -> Conversation | None:
        thread = self._thread(user_id, conversation_id)
        if thread is None:
            return None
        growth = sys.getsizeof(title) - sys.getsizeof(thread.conversation.title)
        self._need_room(growth)
        thread.conversation = replace(thread.conversation, title=title, updated_at=at)
        self._records_bytes += growth
        return thread.conversation

    async def delete_conversation(self, user_id: str, conversation_id: str) -> bool:
        thread = self._thread(user_id, conversation_id)
        if thread is None:
            return False
        self._records_bytes -= thread.size_bytes
        del self._threads[conversation_id]
        del self._threads_of[user_id][conversation_id]
        if not self._threads_of[user_id]:
            del self._threads_of[user_id]
        for record in thread.records:
            del self._thread_of_record[record.id]
        return True

    async def add_records(self, user_id: str, records: Sequence[Record]) -> bool:
        if not records:
            return True
        conversation_ids = {record.conversation_id for record in records}
        if len(conversation_ids) > 1:
            raise ValueError("Records of several conversations cannot be added as one step.")
        thread = self._thread(user_id, conversation_ids.pop())
        if thread is None:
            return False
        ids = {record.id for record in records}
        if len(ids) < len(records) or any(key in self._thread_of_record for key in ids):
            raise Conflict("The message's id is taken.")
        size_bytes = records_bytes(records)
        self._need_room(size_bytes)
        thread.add(records)
        self._thread_of_record.update(dict.fromkeys(ids, thread))
        self._records_bytes += size_bytes
        return True

    async def set_record_status(
        self, user_id: str, record_id: str, status: Literal["ok", "unanswered"]
    ) -> bool:
        thread = self._thread_of_record.get(record_id)
        if thread is None or thread.conversation.user_id != user_id:
            return False
        thread.mark(record_id, status)
        return True

    async def records(
        self, user_id: str, conversation_id: str, *, limit: int, before: str | None = None
    ) -> Page[Record] | None:
        thread = self._thread(user_id, conversation_id)
        return None if thread is None else thread.page(limit, before)

    async def count_records(self, user_id: str, conversation_id: str) -> int | None:
        thread = self._thread(user_id, conversation_id)
        return None if thread is None else len(thread.records)

    async def settings(self, user_id: str) -> Mapping[str, Any]:
        return json_object(self._settings.get(user_id, "{}"))

    async def update_settings(self, user_id: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        known = self._settings.get(user_id)
        text = json_text({**json_object(known or "{}"), **changes})
        growth = (
            sys.getsizeof(text) - sys.getsizeof(known) if known else sys.getsizeof(text) + _SETTINGS_BYTES
        )
        others = len(self._settings) - (known is not None)
        self._need_room(growth, others, self._max_users, "max_users")
        self._settings[user_id] = text
        self._records_bytes += growth
        return json_object(text)

    def _thread(self, user_id: str, conversation_id: str) -> Thread | None:
        return self._threads_of.get(user_id, {}).get(conversation_id)

    def _need_room(self, size_bytes: int, count: int = 0, most: int = 1, option: str = "") -> None:
        if count >= most:
            raise StoreUnavailable(
                f"The memory store is full: `{option}` is {most}. Raise it or delete some."
            )
        if size_bytes > 0 and self._records_bytes + size_bytes > self._max_records_bytes:
            raise StoreUnavailable(
                f"The memory store is full: its records take {self._records_bytes} bytes of at most "
                f"{self._max_records_bytes}. Raise `max_records_bytes` or delete some."
            )
