"""The windows role: a conversation is one list, so that it expires as a whole.

Its first element is the preferences, as JSON; the others are messages, oldest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from jackfield.contracts.json_object import preferences_text
from jackfield.contracts.session import StoredMessage, Window
from jackfield_session_redis.jsontext import from_json, to_bytes, to_json
from jackfield_session_redis.lifetimes import milliseconds
from jackfield_session_redis.link import Link
from jackfield_session_redis.script import Script

_APPEND: Final = Script("""
local window, most, ttl_ms = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local known = redis.call('EXISTS', window)
if known == 0 then
    redis.call('RPUSH', window, '{}')
end
local length
for at = 3, #ARGV do
    length = redis.call('RPUSH', window, ARGV[at])
end
local excess = (length or redis.call('LLEN', window)) - 1 - most
if excess > 0 then
    local preferences = redis.call('LINDEX', window, 0)
    redis.call('LTRIM', window, excess + 1, -1)
    redis.call('LPUSH', window, preferences)
end
redis.call('PEXPIRE', window, ttl_ms)
return known
""")

_SET_PREFERENCES: Final = Script("""
local window, preferences, ttl_ms = KEYS[1], ARGV[1], ARGV[2]
if redis.call('EXISTS', window) == 1 then
    redis.call('LSET', window, 0, preferences)
else
    redis.call('RPUSH', window, preferences)
end
redis.call('PEXPIRE', window, ttl_ms)
""")


class RedisWindows:
    """Conversations by key. Redis itself trims them and lets them expire."""

    _link: Link
    _prefix: bytes

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        packed = [_packed(message) for message in messages]
        most = max(0, max_messages)
        keys = [self._window(key)]
        return bool(await self._link.script(_APPEND, keys, most, milliseconds(ttl_s), *packed) == 0)

    async def load(self, key: str) -> Window | None:
        elements: list[bytes] = await self._link.run("LRANGE", self._window(key), 0, -1)
        if not elements:
            return None
        return Window(tuple(map(_unpacked, elements[1:])), from_json(elements[0]))

    async def touch(self, key: str, *, ttl_s: float) -> bool:
        return bool(await self._link.run("PEXPIRE", self._window(key), milliseconds(ttl_s)) == 1)

    async def delete(self, key: str) -> bool:
        return bool(await self._link.run("UNLINK", self._window(key)) == 1)

    async def set_preferences(self, key: str, preferences: Mapping[str, Any], *, ttl_s: float) -> None:
        packed = to_bytes(preferences_text(preferences))
        await self._link.script(_SET_PREFERENCES, [self._window(key)], packed, milliseconds(ttl_s))

    def _window(self, key: str) -> bytes:
        return self._prefix + b"window:" + to_bytes(key)


def _packed(message: StoredMessage) -> bytes:
    return to_json([message.timestamp.isoformat(), message.is_user, message.type, message.content])


def _unpacked(data: bytes) -> StoredMessage:
    timestamp, is_user, kind, content = from_json(data)
    return StoredMessage(content, kind, datetime.fromisoformat(timestamp), is_user)
