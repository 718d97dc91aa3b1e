"""The shared role: values, counters and leases that expire by Redis' clock."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from jackfield.contracts.session import Lease
from jackfield_session_redis.connection import Part
from jackfield_session_redis.jsontext import to_bytes, to_text
from jackfield_session_redis.lifetimes import milliseconds
from jackfield_session_redis.link import Link
from jackfield_session_redis.script import Script

_ROWS: Final = 64
"""Rows of tokens. The leases of one row lie on one server of a cluster, next to their row's last token."""

_COUNT: Final = Script("""
redis.call('SET', KEYS[1], 0, 'PX', ARGV[1], 'NX')
return redis.call('INCRBY', KEYS[1], ARGV[2])
""")

# A token is the time in microseconds, or one more than the row's last where the clock has not gone on: tokens
# grow although leases expire, and also where Redis has lost its data. A number in Lua is exact up to 2^53.
_LEASE: Final = Script("""
local lease, row, ttl_ms = KEYS[1], KEYS[2], ARGV[1]
if redis.call('EXISTS', lease) == 1 then
    return false
end
local now = redis.call('TIME')
local token = now[1] * 1000000 + now[2]
local last = tonumber(redis.call('GET', row) or 0)
if token <= last then
    token = last + 1
end
local text = string.format('%.0f', token)
redis.call('SET', row, text)
redis.call('SET', lease, text, 'PX', ttl_ms)
return text
""")

_RENEW: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

_RELEASE: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('DEL', KEYS[1])
""")


class RedisShared:
    """Values, counters and leases, each with names of their own."""

    _link: Link
    _prefix: bytes

    async def put(self, key: str, value: str, *, ttl_s: float, only_if_absent: bool = False) -> bool:
        command: list[Part] = ["SET", self._value(key), to_bytes(value), "PX", milliseconds(ttl_s)]
        if only_if_absent:
            command.append("NX")
        return await self._link.run(*command) is not None

    async def get(self, key: str) -> str | None:
        return _text(await self._link.run("GET", self._value(key)))

    async def take(self, key: str) -> str | None:
        return _text(await self._link.run("GETDEL", self._value(key)))

    async def count(self, key: str, *, ttl_s: float, by: int = 1) -> int:
        counter = self._prefix + b"counter:" + to_bytes(key)
        return int(await self._link.script(_COUNT, [counter], milliseconds(ttl_s), by))

    async def lease(self, key: str, *, ttl_s: float) -> Lease | None:
        lease, row = self._lease_keys(key)
        token = await self._link.script(_LEASE, [lease, row], milliseconds(ttl_s))
        return None if token is None else Lease(key, int(token))

    async def renew(self, lease: Lease, *, ttl_s: float) -> bool:
        keys = self._lease_keys(lease.key)[:1]
        return bool(await self._link.script(_RENEW, keys, lease.token, milliseconds(ttl_s)) == 1)

    async def release(self, lease: Lease) -> bool:
        return bool(await self._link.script(_RELEASE, self._lease_keys(lease.key)[:1], lease.token) == 1)

    def _value(self, key: str) -> bytes:
        return self._prefix + b"value:" + to_bytes(key)

    def _lease_keys(self, key: str) -> tuple[bytes, bytes]:
        """Name a lease and the last token of its row; braces have a cluster keep them together."""
        name = to_bytes(key)
        row = blake2b(name, digest_size=1).digest()[0] % _ROWS
        return (self._prefix + b"lease:{%d}:" % row) + name, self._prefix + b"token:{%d}" % row


def _text(answer: Any) -> str | None:
    return None if answer is None else to_text(answer)
