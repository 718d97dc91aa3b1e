"""The open sockets of every user, and what they are told: by this server, and of changes on others."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup, TaskStatus

from jackfield.contracts.session import Signals
from jackfield.errors import StoreUnavailable
from jackfield.sockets import JsonSocket, encoded
from jackfield_transport_pichat.changes import Change, everything
from jackfield_transport_pichat.wire import Json

_PAUSE_S: Final = 1.0
"""Between two tries to listen to a store that is away."""
_FAREWELL_S: Final = 2.0
"""How long the server's end waits for changes that other servers have not been told of."""
_MOST_WAITING: Final = 256
"""Changes of a user that may wait to be published; with more, others are told to read all again."""

Retell = Callable[[str, Change], Awaitable[Sequence[Json]]]
"""Gives the frames that tell of a change of a user's, read from the records."""


@dataclass(slots=True, eq=False)
class _Room:
    """The sockets of a user."""

    sockets: set[JsonSocket] = field(default_factory=set)
    opening: anyio.Lock = field(default_factory=anyio.Lock)
    listening: anyio.CancelScope | None = None


class Audience:
    """Who listens. Telling never waits for a client: every socket sends by a task of its own.

    Other servers are told the ids of what changed, and read the records themselves; so are other doors of
    this process that share the users.
    """

    def __init__(self, signals: Signals, retell: Retell, logger: logging.Logger) -> None:
        self._signals = signals
        self._retell = retell
        self._logger = logger
        self._id = str(uuid4())
        self._rooms: dict[str, _Room] = {}
        self._unpublished: dict[str, deque[Change]] = {}
        self._tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Listen for those who are there and tell other servers, until cancelled."""
        try:
            async with anyio.create_task_group() as self._tasks:
                await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(_FAREWELL_S, shield=True):
                for owner in list(self._unpublished):
                    await self._publish(owner)

    @asynccontextmanager
    async def joined(self, owner: str, socket: JsonSocket) -> AsyncIterator[None]:
        """Inside, the socket is told what changes for the user.

        :raises StoreUnavailable: when changes on other servers cannot be listened to.
        """
        room = self._rooms.setdefault(owner, _Room())
        room.sockets.add(socket)
        try:
            async with room.opening:
                if room.listening is None:
                    room.listening = await self._group().start(self._listen, owner, name=f"pichat {owner}")
            yield
        finally:
            room.sockets.discard(socket)
            if not room.sockets:
                del self._rooms[owner]
                if room.listening is not None:
                    room.listening.cancel()

    def announce(self, owner: str, told: Json, change: Change, sender: JsonSocket | None = None) -> None:
        """Tell of a change: to the user's sockets but `sender` the frame, to other servers what changed."""
        self._tell(owner, [told], but=sender)
        waiting = self._unpublished.get(owner)
        if waiting is None:
            self._unpublished[owner] = deque([change])
            self._group().start_soon(self._publish, owner)
        elif len(waiting) < _MOST_WAITING:
            waiting.append(change)
        else:
            waiting.clear()
            waiting.append(everything())

    def _tell(self, owner: str, frames: Sequence[Json], but: JsonSocket | None = None) -> None:
        room = self._rooms.get(owner)
        if room is None or not room.sockets - {but}:
            return
        for text in map(encoded, frames):
            for socket in room.sockets:
                if socket is not but:
                    socket.post_text(text)

    async def _publish(self, owner: str) -> None:
        """Tell other servers what waits, in order. What they could not be told they are to read again."""
        waiting = self._unpublished[owner]
        while waiting:
            change = waiting[0]
            try:
                await self._signals.publish(_channel(owner), {**change.payload(), "by": self._id})
            except Exception as error:  # noqa: BLE001  # logged by _note; one user's trouble is no other's
                if change.kind != "everything":
                    self._note("other servers cannot be told of changes", error)
                waiting.clear()
                waiting.append(everything())
                await anyio.sleep(_PAUSE_S)
            else:
                if waiting[0] is change:  # and was not replaced meanwhile
                    waiting.popleft()
        del self._unpublished[owner]

    async def _listen(
        self, owner: str, *, task_status: TaskStatus[anyio.CancelScope] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Hear of changes on other servers until nobody is there any more."""
        with anyio.CancelScope() as scope:
            started = False
            while True:
                try:
                    async with self._signals.subscribe(_channel(owner)) as signals:
                        if started:
                            await self._relay(owner, everything())
                        else:
                            started = True
                            task_status.started(scope)
                        await self._follow(owner, signals)
                except Exception as error:  # logged by _note; one user's trouble is no other's
                    if not started:
                        raise
                    self._note("changes on other servers cannot be heard of", error)
                await anyio.sleep(_PAUSE_S)

    async def _follow(self, owner: str, signals: AsyncIterator[Any]) -> None:
        last: int | None = None
        async for signal in signals:
            missed = last is not None and signal.sequence != last + 1
            last = signal.sequence
            if missed:
                await self._relay(owner, everything())
            elif (change := self._foreign(signal.payload)) is not None:
                await self._relay(owner, change)

    def _foreign(self, payload: Mapping[str, Any]) -> Change | None:
        return None if payload.get("by") == self._id else Change.read(payload)

    async def _relay(self, owner: str, change: Change) -> None:
        self._tell(owner, await self._retell(owner, change))

    def _note(self, what: str, error: Exception) -> None:
        """Log a failure; of a store that is away the place in the code says nothing."""
        trace = None if isinstance(error, StoreUnavailable) else error
        self._logger.warning("%s: %s", what, error if trace is None else type(error).__name__, exc_info=trace)

    def _group(self) -> TaskGroup:
        if self._tasks is None:
            raise RuntimeError("the audience must run before anybody joins")
        return self._tasks


def _channel(owner: str) -> str:
    return f"pichat:{owner}"
