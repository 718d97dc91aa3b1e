"""Turns of one conversation run one at a time, in the order in which they came."""

from __future__ import annotations

from collections import deque
from types import TracebackType

import anyio

from jackfield.contracts.session import Lease
from jackfield.dialogue.leases import TurnLeases
from jackfield.errors import ProtocolError


class TurnOrder:
    """A queue for each conversation that has a turn under way.

    With `leases` the turns of other servers are waited for too, in no particular order. A turn may be ended
    by another task than the one that began it, so this is no lock of a task's own.
    """

    def __init__(self, max_waiting: int, leases: TurnLeases | None = None) -> None:
        self._max_waiting = max_waiting
        self._leases = leases
        self._waiting: dict[str, deque[anyio.Event]] = {}

    def turn(self, key: str) -> Place:
        """Take a place in the queue. Inside of it, as a context, it is this turn's turn.

        :raises ProtocolError: 429 `session_busy` when too many wait already.
        """
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque()
            return Place(self._waiting, key, None, self._leases)
        if len(queue) >= self._max_waiting:
            raise ProtocolError(429, "session_busy", "Too many messages of this session wait already.")
        called = anyio.Event()
        queue.append(called)
        return Place(self._waiting, key, called, self._leases)


class Place:
    """A place in a queue, kept until it is left, whether its turn has come or not."""

    __slots__ = ("_called", "_key", "_lease", "_leases", "_left", "_waiting")

    def __init__(
        self,
        waiting: dict[str, deque[anyio.Event]],
        key: str,
        called: anyio.Event | None,
        leases: TurnLeases | None,
    ) -> None:
        self._waiting = waiting
        self._key = key
        self._called = called
        """None when nobody was before it."""
        self._leases = leases
        self._lease: Lease | None = None
        self._left = False

    async def __aenter__(self) -> None:
        try:
            if self._called is not None:
                await self._called.wait()
            if self._leases is not None:
                self._lease = await self._leases.take(self._key)
        except BaseException:
            self.leave()
            raise

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._leases is not None and self._lease is not None:
            await self._leases.give_back(self._lease)
        self.leave()

    def leave(self) -> None:
        """Give the place up, once; whoever is next is called, if it was this one's turn."""
        if self._left:
            return
        self._left = True
        queue = self._waiting[self._key]
        if self._called is not None and not self._called.is_set():
            queue.remove(self._called)
        elif queue:
            queue.popleft().set()
        else:
            del self._waiting[self._key]
