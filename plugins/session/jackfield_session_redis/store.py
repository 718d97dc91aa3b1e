"""The Redis store: its four roles as one object."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import anyio

from jackfield_session_redis.connecting import link_to
from jackfield_session_redis.durability import check_durability
from jackfield_session_redis.hub import Hub
from jackfield_session_redis.options import RedisOptions
from jackfield_session_redis.records import RedisRecords
from jackfield_session_redis.shared import RedisShared
from jackfield_session_redis.signals import KEPT_MS, RedisSignals
from jackfield_session_redis.windows import RedisWindows


class RedisStore(RedisWindows, RedisRecords, RedisSignals, RedisShared):
    """Windows, records, signals and shared things in one Redis.

    Any number of processes may use the same one. Nothing is sent before it is entered.
    """

    def __init__(self, options: RedisOptions, logger: logging.Logger) -> None:
        self._link = link_to(options)
        self._prefix = options.prefix.encode()
        self._channels = self._prefix + b"channel:%d:" % options.address().database
        self._hub = Hub(self._link, logger, max_waiting=options.max_waiting_signals, kept_ms=KEPT_MS)
        self._options = options
        self._logger = logger
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self._link)
            await check_durability(self._link, self._options, self._logger)
            tasks = await opening.enter_async_context(anyio.create_task_group())
            opening.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._hub.run, name="listening to signals")
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        return await self._open.__aexit__(exc_type, exc, tb)

    async def ping(self) -> None:
        await self._link.run_everywhere("PING")

    async def size_bytes(self) -> int | None:
        """Bytes of memory that Redis uses for data, other programs' included; None where it does not tell."""
        answers = await self._link.ask_everywhere("INFO", "memory")
        sizes_bytes = [_data_bytes(answer) for answer in answers if isinstance(answer, bytes)]
        return sum(sizes_bytes) if sizes_bytes else None


def _data_bytes(info: bytes) -> int:
    fields = dict(line.partition(b":")[::2] for line in info.splitlines())
    return int(fields.get(b"used_memory_dataset", 0))
