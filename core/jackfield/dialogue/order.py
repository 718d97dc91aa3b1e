"""Turns of one conversation run one at a time, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from jackfield.errors import ProtocolError


class TurnOrder:
    """A queue for each conversation that has a turn under way.

    A turn may be ended by another task than the one that began it, so this is no lock of a task's own.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: dict[str, deque[anyio.Event]] = {}

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait until it is this turn's turn.

        :raises ProtocolError: 429 `session_busy` when too many wait already.
        """
        await self._enter(key)
        try:
            yield
        finally:
            self._leave(key)

    async def _enter(self, key: str) -> None:
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque()
            return
        if len(queue) >= self._max_waiting:
            raise ProtocolError(429, "session_busy", "Too many messages of this session wait already.")
        mine = anyio.Event()
        queue.append(mine)
        try:
            await mine.wait()
        except BaseException:
            if mine.is_set():
                self._leave(key)  # the place was handed over in the same moment
            else:
                queue.remove(mine)
            raise

    def _leave(self, key: str) -> None:
        queue = self._waiting[key]
        if queue:
            queue.popleft().set()
        else:
            del self._waiting[key]
