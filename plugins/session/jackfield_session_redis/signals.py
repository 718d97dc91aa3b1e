"""The signals role: numbered messages over Redis' channels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from jackfield.contracts.session import Signal
from jackfield_session_redis.hub import Hub
from jackfield_session_redis.jsontext import to_bytes, to_json_object
from jackfield_session_redis.link import Link
from jackfield_session_redis.script import Script

KEPT_MS: Final = 24 * 3600 * 1000
"""How long a channel's last signal is kept, and its numbering with it."""

# A channel's key holds its last signal, number and payload. A channel that is new, or whose key expired or
# was lost, counts on from the time in microseconds, which is above every number that it ever had.
_PUBLISH: Final = Script("""
local channel, payload, kept_ms = KEYS[1], ARGV[1], ARGV[2]
local last = redis.call('GET', channel)
local number
if last then
    number = tonumber(string.match(last, '^%d+')) + 1
else
    local now = redis.call('TIME')
    number = now[1] * 1000000 + now[2]
end
local text = string.format('%.0f', number)
local signal = text .. ' ' .. payload
redis.call('SET', channel, signal, 'PX', kept_ms)
redis.call('PUBLISH', channel, signal)
return text
""")


class RedisSignals:
    """Channels. Whoever listens shares one connection with all other listeners of this server."""

    _link: Link
    _channels: bytes
    """Begins the names of channels, which know no databases: the database's number is part of it."""
    _hub: Hub

    async def publish(self, channel: str, payload: Mapping[str, Any]) -> int:
        keys = [self._channels + to_bytes(channel)]
        return int(await self._link.script(_PUBLISH, keys, to_json_object(payload), KEPT_MS))

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        return self._hub.subscribed(self._channels + to_bytes(channel))
