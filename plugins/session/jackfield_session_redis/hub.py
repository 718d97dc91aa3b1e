"""One connection that listens for everybody in this process, and comes back by itself.

When it was lost, listeners go on waiting. As soon as it is back they get the last signal of their channel,
if they missed it: its number shows how many they missed beside. Where another server answers than before, or
Redis has lost the channel, nobody knows what was missed: the numbering then jumps, for everybody to read
again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from redis.exceptions import ConnectionError as Disconnected, ResponseError

from jackfield import StoreUnavailable
from jackfield.contracts.session import Signal
from jackfield_session_redis.channel import Channel, Subscription, split
from jackfield_session_redis.connection import Connection
from jackfield_session_redis.failures import FAILURES, unavailable
from jackfield_session_redis.link import Link
from jackfield_session_redis.script import Script

_QUIET_S: Final = 15.0
"""Silence after which the connection is asked for a sign of life, and as long again until it is given up."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0

# Gives a channel's last signal. Where that cannot tell what was missed, it makes one up, two numbers on.
_CATCH_UP: Final = Script("""
local channel, newest, other_server, kept_ms = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local last = redis.call('GET', channel)
if last and other_server == '0' then
    return last
end
if not last and newest == 0 then
    return false
end
local now = redis.call('TIME')
local number = now[1] * 1000000 + now[2]
if last then
    number = tonumber(string.match(last, '^%d+')) + 2
end
if number < newest + 2 then
    number = newest + 2
end
local signal = string.format('%.0f', number) .. ' {}'
redis.call('SET', channel, signal, 'PX', kept_ms)
return signal
""")


class Hub:
    """Listens to every channel that somebody in this process listens to. `run` has to run."""

    def __init__(self, link: Link, logger: logging.Logger, *, max_waiting: int, kept_ms: int) -> None:
        self._link = link
        self._logger = logger
        self._max_waiting = max_waiting
        self._kept_ms = kept_ms
        self._channels: dict[bytes, Channel] = {}
        self._changed = anyio.Event()
        """Somebody began to listen to a channel, or the last one of it left."""
        self._asked: set[bytes] = set()
        self._unconfirmed: Counter[bytes] = Counter()
        self._server: str | None = None
        self._connected = False

    @asynccontextmanager
    async def subscribed(self, name: bytes) -> AsyncIterator[AsyncIterator[Signal]]:
        """Listen from now on.

        :raises StoreUnavailable: when Redis does not confirm it in time.
        """
        known = self._channels.get(name)
        newest = 0 if known else split(await self._link.run("GET", name))[0]
        subscription = Subscription(self._max_waiting)
        channel = self._channels.setdefault(name, Channel(newest))
        channel.subscriptions.append(subscription)
        self._changed.set()
        try:
            await self._confirmation(channel)
            yield subscription
        finally:
            subscription.close()
            channel.subscriptions.remove(subscription)
            if not channel.subscriptions:
                del self._channels[name]
                self._changed.set()

    async def _confirmation(self, channel: Channel) -> None:
        try:
            with anyio.fail_after(self._link.timeout_s):
                await channel.heard.wait()
        except TimeoutError as error:
            raise StoreUnavailable(f"Redis at {self._link.where} confirms no subscription.") from error

    async def run(self) -> None:
        """Listen whenever somebody wants it, until cancelled."""
        pause_s = _FIRST_PAUSE_S
        while True:
            while not self._channels:
                await self._change()
            try:
                await self._listen()
            except FAILURES as error:
                if self._connected:
                    pause_s = _FIRST_PAUSE_S
                if pause_s == _FIRST_PAUSE_S:  # what goes on is not told again and again
                    reason = unavailable(self._link.where, error)
                    self._logger.warning("listening to signals was interrupted: %s", reason)
            self._lose()
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _change(self) -> None:
        await self._changed.wait()
        self._changed = anyio.Event()

    async def _listen(self) -> None:
        """Listen until the connection ends, which raises."""
        connection = await self._link.listener()
        failure: Exception | None = None
        try:
            with anyio.fail_after(self._link.timeout_s):
                await connection.connect()
                other_server = await self._meet(connection)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._ask, connection)
                try:
                    await self._hear(connection, tasks, other_server=other_server)
                except FAILURES as error:  # raised below: the group would wrap it
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await connection.disconnect(nowait=True)
        if failure is not None:
            raise failure

    async def _meet(self, connection: Connection) -> bool:
        """Learn which server it is; says whether it is, or may be, another one than before."""
        before = self._server
        await connection.send_command("INFO", "server")
        try:
            self._server = _run_id(await connection.read_response())
        except ResponseError:  # not allowed: it may be any
            self._server = ""
        return before is not None and (not self._server or self._server != before)

    async def _ask(self, connection: Connection) -> None:
        """Keep Redis told which channels are listened to."""
        try:
            while True:
                if fresh := self._channels.keys() - self._asked:
                    self._asked |= fresh
                    self._unconfirmed.update(fresh)
                    await connection.send_command("SUBSCRIBE", *fresh)
                if left := self._asked - self._channels.keys():
                    self._asked -= left
                    await connection.send_command("UNSUBSCRIBE", *left)
                await self._change()
        except FAILURES:  # whoever reads from the connection finds out too
            return

    async def _hear(self, connection: Connection, tasks: TaskGroup, *, other_server: bool) -> None:
        asked = False
        while True:
            answer = await connection.read_response(timeout=_QUIET_S)
            if answer is None:
                if asked:
                    raise Disconnected("it gives no sign of life")
                await connection.send_command("PING")
                asked = True
                continue
            asked = False
            kind, name, *rest = answer
            channel = self._channels.get(name)
            if kind == b"subscribe" and self._confirms(name) and channel is not None:
                if channel.lost:
                    channel.doubtful |= other_server
                    tasks.start_soon(self._catch_up, name, channel)
                channel.heard.set()
                self._connected = True
            elif kind == b"message" and channel is not None:
                channel.deliver(rest[0])

    def _confirms(self, name: bytes) -> bool:
        """Whether the confirmation is of the last request for the channel."""
        self._unconfirmed[name] -= 1
        if self._unconfirmed[name] > 0:
            return False
        del self._unconfirmed[name]
        return True

    async def _catch_up(self, name: bytes, channel: Channel) -> None:
        """Tell the listeners of a channel what they missed while the connection was lost."""
        arguments = (channel.newest, int(channel.doubtful), self._kept_ms)
        while True:
            try:
                last: bytes | None = await self._link.script(_CATCH_UP, [name], *arguments)
                break
            except StoreUnavailable:  # what was missed will be known later
                await anyio.sleep(_LONGEST_PAUSE_S)
        channel.lost = channel.doubtful = False
        if last is not None:
            channel.replay(last)

    def _lose(self) -> None:
        self._connected = False
        self._asked.clear()
        self._unconfirmed.clear()
        for channel in self._channels.values():
            channel.lost = True
            channel.heard = anyio.Event()


def _run_id(info: Any) -> str:
    lines = info.decode(errors="replace").splitlines()
    return next((line.partition(":")[2] for line in lines if line.startswith("run_id:")), "")
