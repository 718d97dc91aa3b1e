"""The records role: accounts, conversations, messages and settings, until they are deleted.

All of it is in one slot of a cluster, for the names of users and the ids of conversations and messages are
unique over all users. An operation is one command or one script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Literal

from jackfield.contracts.session import Conflict, Conversation, Page, Record, User
from jackfield_session_redis import cursor as cursors, record_scripts as scripts
from jackfield_session_redis.connection import Part
from jackfield_session_redis.jsontext import from_json, to_bytes, to_json, to_json_object, to_text
from jackfield_session_redis.link import Link
from jackfield_session_redis.rows import (
    moment,
    pack_conversation,
    pack_record,
    pack_user,
    position,
    status_letter,
    unpack_conversation,
    unpack_record,
    unpack_user,
)


class RedisRecords:
    """Durable things, as durable as Redis is."""

    _link: Link
    _prefix: bytes

    async def add_user(self, user: User) -> None:
        keys = [self._key(b"users"), self._key(b"names"), self._key(b"emails")]
        identity = to_bytes(user.id), _folded(user.name), _folded(user.email or "")
        if not await self._link.script(scripts.ADD_USER, keys, *identity, pack_user(user)):
            raise Conflict("The id, the name or the e-mail address is taken.")

    async def user(self, user_id: str) -> User | None:
        row = await self._link.run("HGET", self._key(b"users"), to_bytes(user_id))
        return None if row is None else unpack_user(row)

    async def user_by_name(self, name: str) -> User | None:
        keys = [self._key(b"users"), self._key(b"names")]
        row = await self._link.script(scripts.USER_BY_NAME, keys, _folded(name))
        return None if row is None else unpack_user(row)

    async def add_conversation(self, conversation: Conversation) -> None:
        keys = [self._key(b"owners"), *self._lists(conversation.user_id)]
        ids = to_bytes(conversation.id), to_bytes(conversation.user_id)
        row = pack_conversation(conversation)
        if not await self._link.script(scripts.ADD_CONVERSATION, keys, *ids, row, position(conversation)):
            raise Conflict("The conversation's id is taken.")

    async def conversation(self, user_id: str, conversation_id: str) -> Conversation | None:
        key = self._lists(user_id)[0]
        row = await self._link.run("HGET", key, to_bytes(conversation_id))
        return None if row is None else unpack_conversation(user_id, conversation_id, row)

    async def conversations(
        self, user_id: str, *, limit: int, cursor: str | None = None
    ) -> Page[Conversation]:
        owner = to_bytes(user_id)
        after = b"+" if cursor is None else b"(" + cursors.decode(owner, cursor)
        flat = await self._link.script(scripts.CONVERSATIONS, self._lists(user_id), after, limit + 1)
        positions, rows = flat[::2], flat[1::2]
        items = tuple(
            unpack_conversation(user_id, to_text(place[18:]), row)
            for place, row in zip(positions[:limit], rows, strict=False)
        )
        more = len(positions) > limit > 0
        return Page(items, cursors.encode(owner, positions[limit - 1]) if more else None)

    async def rename_conversation(
        self, user_id: str, conversation_id: str, title: str, at: datetime
    ) -> Conversation | None:
        arguments = to_bytes(conversation_id), to_bytes(title), moment(at)
        keys = self._lists(user_id)[:1]
        row = await self._link.script(scripts.RENAME_CONVERSATION, keys, *arguments)
        return None if row is None else unpack_conversation(user_id, conversation_id, row)

    async def delete_conversation(self, user_id: str, conversation_id: str) -> bool:
        messages = self._messages(conversation_id)
        keys = [self._key(b"owners"), *self._lists(user_id), *messages]
        return bool(
            await self._link.script(scripts.DELETE_CONVERSATION, keys, to_bytes(conversation_id)) == 1
        )

    async def add_records(self, user_id: str, records: Sequence[Record]) -> bool:
        if not records:
            return True
        conversation_id = records[0].conversation_id
        if any(record.conversation_id != conversation_id for record in records):
            raise ValueError("Records of several conversations cannot be added as one step.")
        arguments: list[Part] = [
            to_bytes(conversation_id),
            moment(max(record.created_at for record in records)),
            _digest(user_id) + b" " + _digest(conversation_id),
        ]
        for record in records:
            arguments += [to_bytes(record.id), status_letter(record.status), pack_record(record)]
        keys = [*self._lists(user_id), *self._messages(conversation_id)]
        done = await self._link.script(scripts.ADD_RECORDS, keys, *arguments)
        if done < 0:
            raise Conflict("The message's id is taken.")
        return bool(done == 1)

    async def set_record_status(
        self, user_id: str, record_id: str, status: Literal["ok", "unanswered"]
    ) -> bool:
        arguments = to_bytes(record_id), _digest(user_id), status_letter(status)
        return bool(
            await self._link.script(scripts.SET_RECORD_STATUS, [self._key(b"records")], *arguments) == 1
        )

    async def records(
        self, user_id: str, conversation_id: str, *, limit: int, before: str | None = None
    ) -> Page[Record] | None:
        keys = [self._lists(user_id)[0], *self._messages(conversation_id)]
        arguments: list[Part] = [to_bytes(conversation_id), _digest(conversation_id), max(0, limit)]
        if before is not None:
            arguments.append(to_bytes(before))
        found = await self._link.script(scripts.RECORDS, keys, *arguments)
        if found is None:
            return None
        if isinstance(found, bytes):
            raise ValueError("`before` names no message of this conversation.")
        start, flat = found[0], found[1:]
        items = tuple(unpack_record(*pair) for pair in list(pairwise(flat))[::2])
        return Page(items, items[0].id if start > 0 and items else None)

    async def count_records(self, user_id: str, conversation_id: str) -> int | None:
        keys = [self._lists(user_id)[0], self._messages(conversation_id)[0]]
        count: int | None = await self._link.script(scripts.COUNT_RECORDS, keys, to_bytes(conversation_id))
        return count

    async def settings(self, user_id: str) -> Mapping[str, Any]:
        return _settings(await self._link.run("HGETALL", self._settings_key(user_id)))

    async def update_settings(self, user_id: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        to_json_object(changes)  # all of it can be kept, or none of it is
        arguments = [part for key, value in changes.items() for part in (to_bytes(key), to_json(value))]
        keys = [self._settings_key(user_id)]
        return _settings(await self._link.script(scripts.UPDATE_SETTINGS, keys, *arguments))

    def _key(self, name: bytes) -> bytes:
        """Name a key; the braces have a cluster keep all of them together."""
        return self._prefix + b"{records}:" + name

    def _lists(self, user_id: str) -> list[bytes]:
        """Name a user's conversations, and their order."""
        owner = to_bytes(user_id)
        return [self._key(b"conversations:" + owner), self._key(b"order:" + owner)]

    def _messages(self, conversation_id: str) -> list[bytes]:
        """Name the ids of a conversation's messages in their order, and the messages of all conversations."""
        return [self._key(b"messages:" + to_bytes(conversation_id)), self._key(b"records")]

    def _settings_key(self, user_id: str) -> bytes:
        return self._key(b"settings:" + to_bytes(user_id))


def _folded(text: str) -> bytes:
    return to_bytes(text.casefold())


def _digest(name: str) -> bytes:
    """Stand for an id where a script has to find it: without spaces, always as long."""
    return blake2b(to_bytes(name), digest_size=16).hexdigest().encode()


def _settings(flat: list[bytes]) -> dict[str, Any]:
    return {to_text(key): from_json(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}
