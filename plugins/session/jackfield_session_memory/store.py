"""The memory store: its four roles as one object."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import anyio

from jackfield_session_memory.options import MemoryOptions
from jackfield_session_memory.records import MemoryRecords
from jackfield_session_memory.shared import MemoryShared
from jackfield_session_memory.signals import MemorySignals
from jackfield_session_memory.windows import MemoryWindows


class MemoryStore(MemoryWindows, MemoryRecords, MemorySignals, MemoryShared):
    """Windows, records, signals and shared things of one process.

    It belongs to one event loop. No method awaits between reading and writing, which makes each one
    atomic. While it is entered, what has expired is removed every `sweep_s` seconds, also when nobody
    asks; reading never gives what has expired. `clock` gives seconds and never goes back.
    """

    def __init__(self, options: MemoryOptions, *, clock: Callable[[], float] = time.monotonic) -> None:
        MemoryWindows.__init__(self, options, clock)
        MemoryRecords.__init__(self, options)
        MemorySignals.__init__(self, options)
        MemoryShared.__init__(self, options, clock)
        self._sweep_s = options.sweep_s
        self._sweeping = AsyncExitStack()

    async def __aenter__(self) -> Self:
        tasks = await self._sweeping.enter_async_context(anyio.create_task_group())
        self._sweeping.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(self._keep_sweeping)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        return await self._sweeping.__aexit__(exc_type, exc, tb)

    async def ping(self) -> None:
        return

    async def size_bytes(self) -> int:
        tables = (self._windows, self._values, self._counters, self._leases)
        return sum(table.size_bytes for table in tables) + self._records_bytes + self._signals_bytes()

    def sweep(self) -> int:
        """Remove what has expired; gives the number of things."""
        tables = (self._windows, self._values, self._counters, self._leases)
        return sum(table.sweep() for table in tables)

    async def _keep_sweeping(self) -> None:
        while True:
            await anyio.sleep(self._sweep_s)
            self.sweep()
