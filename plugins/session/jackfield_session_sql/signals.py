"""The signals role: numbered by the database, told to this process at once and to others soon."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice
from typing import Any, Final

import anyio
from sqlalchemy import BigInteger, Executable, Integer, bindparam, insert, select, text

from jackfield.contracts.json_object import json_text
from jackfield.contracts.session import Signal
from jackfield.errors import StoreUnavailable
from jackfield_session_sql.address import Dialect
from jackfield_session_sql.database import Database
from jackfield_session_sql.lifetime import in_ms
from jackfield_session_sql.listeners import Listeners
from jackfield_session_sql.options import SqlOptions
from jackfield_session_sql.statements import after_ms, now_ms, upsert
from jackfield_session_sql.tables import channels, digest, signals

NOTIFIED: Final = "jackfield_signals"
"""PostgreSQL's channel, on which the keys of ours are told with the numbers of their signals."""

_KEPT_S: Final = 86_400.0
"""How long the numbering of a channel without signals is kept. One that begins anew begins with the time,
so that its numbers never fall back."""
_AT_ONCE: Final = 500
_NOTHING: Final = "{}"

_CHANNEL_KEY: Final = bindparam("key", type_=channels.c.channel_key.type)

HEAD: Final = select(channels.c.sequence).where(channels.c.channel_key == _CHANNEL_KEY)
HEADS: Final = select(channels.c.channel_key, channels.c.sequence).where(
    channels.c.channel_key.in_(bindparam("keys", type_=channels.c.channel_key.type, expanding=True))
)
ADD_SIGNAL: Final = insert(signals).values(
    channel_key=_CHANNEL_KEY,
    sequence=bindparam("number", type_=BigInteger),
    payload=bindparam("json", type_=signals.c.payload.type),
    expires_at_ms=after_ms(),
)
NEWEST_SIGNALS: Final = (
    select(signals.c.sequence, signals.c.payload)
    .where(signals.c.channel_key == _CHANNEL_KEY, signals.c.sequence > bindparam("told", type_=BigInteger))
    .order_by(signals.c.sequence.desc())
    .limit(bindparam("most", type_=Integer))
)
NOTIFY: Final = text("SELECT pg_notify(:notified, :heard)")


def next_number(dialect: Dialect) -> Executable:
    """Give a channel's next number, and hold the channel for the transaction."""
    new = {
        "channel_key": _CHANNEL_KEY,
        "sequence": now_ms(),
        "idle_after_ms": after_ms("kept_ms"),
    }
    return upsert(
        dialect,
        channels,
        new,
        lambda excluded: {
            "sequence": channels.c.sequence + bindparam("one", 1, type_=BigInteger),
            "idle_after_ms": excluded["idle_after_ms"],
        },
        returning=(channels.c.sequence,),
    )


class SqlSignals:
    """Channels. A number and its signal are written in one transaction, in the order of the numbers.

    Listeners of this process hear of its own signals directly. What other processes publish is read from
    the tables: on PostgreSQL when it notifies, else every `poll_s` seconds.
    """

    def __init__(self, database: Database, options: SqlOptions, logger: logging.Logger) -> None:
        self._database = database
        self._listeners = Listeners(options.max_waiting_signals)
        self._next_number = next_number(database.dialect)
        self._notifies = database.dialect == "postgresql"
        self._poll_s = options.poll_s
        self._max_waiting = options.max_waiting_signals
        self._kept_ms = in_ms(options.signals_kept_s)
        self._logger = logger

    async def publish(self, channel: str, payload: Mapping[str, Any]) -> int:
        return await self._publish(digest(channel), json_text(payload, ascii_only=True))

    async def _publish(self, key: bytes, json: str) -> int:
        async with self._database.transaction() as connection:
            numbered = {"key": key, "kept_ms": in_ms(_KEPT_S)}
            sequence = int((await connection.execute(self._next_number, numbered)).scalar_one())
            row = {"key": key, "number": sequence, "json": json, "ttl_ms": self._kept_ms}
            await connection.execute(ADD_SIGNAL, row)
            if self._notifies:
                told = {"notified": NOTIFIED, "heard": f"{key.hex()} {sequence}"}
                await connection.execute(NOTIFY, told)
        self._listeners.published(key, sequence, json)
        return sequence

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        return self._subscribed(digest(channel))

    @asynccontextmanager
    async def _subscribed(self, key: bytes) -> AsyncIterator[AsyncIterator[Signal]]:
        subscription = self._listeners.add(key)
        try:
            rows = await self._database.read(HEAD, {"key": key})
            self._listeners.begin(key, subscription, rows[0].sequence if rows else 0)
            yield subscription
        finally:
            self._listeners.remove(key, subscription)

    async def keep_reading(self) -> None:
        """Hand on what other processes published, until cancelled."""
        listeners = self._listeners
        failing = False
        while True:
            await self._look_again(failing=failing)
            if not self._notifies:
                listeners.behind.update(listeners.channels)
            try:
                await self._catch_up()
                failing = False
            except StoreUnavailable as error:
                if not failing:
                    self._logger.warning("signals of other processes are late: %s", error)
                failing = True

    async def _look_again(self, *, failing: bool) -> None:
        """Wait until there may be something to read."""
        listeners = self._listeners
        asks = listeners.channels and not self._notifies
        if failing or asks:
            with anyio.move_on_after(self._poll_s):
                await (anyio.sleep_forever() if failing else listeners.wake.wait())
        elif not listeners.behind:
            await listeners.wake.wait()
        listeners.wake = anyio.Event()

    async def _catch_up(self) -> None:
        """Read what channels that are behind have not been told."""
        listeners = self._listeners
        for keys in _parts(listeners.behind):
            listeners.behind.difference_update(keys)  # before: one may fall behind again meanwhile
            try:
                for key, head in await self._database.read(HEADS, {"keys": keys}):
                    channel = listeners.channels.get(key)
                    if channel is not None and channel.told is not None and channel.told < head:
                        await self._read(key, channel.told, head)
            except StoreUnavailable:
                listeners.behind.update(keys)
                raise

    async def _read(self, key: bytes, told: int, head: int) -> None:
        values = {"key": key, "told": told, "most": self._max_waiting}
        rows = await self._database.read(NEWEST_SIGNALS, values)
        channel = self._listeners.channels.get(key)
        if channel is None:
            return
        for row in reversed(rows):
            channel.tell(row.sequence, row.payload)
        if channel.told is not None and channel.told < head:
            # What was missed is not kept any more. A signal behind it shows the gap now, and not only when
            # something happens again.
            await self._publish(key, _NOTHING)


def _parts(keys: Collection[bytes]) -> Iterator[list[bytes]]:
    """Give keys, as they now are, so many at once as a statement may have."""
    left = iter(list(keys))
    while part := list(islice(left, _AT_ONCE)):
        yield part
