"""Staying in step with other servers over the same store: they are told which chat changed, and read it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from jackfield import StoreUnavailable
from jackfield.contracts.panel import Panel
from jackfield.contracts.session import Signal, Signals
from jackfield_transport_chat_app.audience import Audience

_RETRY_S: Final = 1.0
_READY_S: Final = 2.0
"""How long a socket waits until other servers are listened to."""
_MAX_WAITING: Final = 10_000
"""Changes that wait to be told; a change that is lost is noticed with the next one of its chat."""


@dataclass(slots=True, eq=False)
class _Ear:
    """What listens for one user."""

    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ready: anyio.Event = field(default_factory=anyio.Event)
    sockets: int = 0


class Replicas:
    """Publishes which chats changed, and listens for users who have a socket here.

    Without the store's role `signals` it does nothing: only the sockets of this process stay in step.
    """

    def __init__(self, panel: Panel, audience: Audience, logger: logging.Logger) -> None:
        self._signals: Signals | None = panel.sessions.signals
        self._audience = audience
        self._logger = logger
        self._self = uuid4().hex
        self._ears: dict[str, _Ear] = {}
        self._tasks: TaskGroup | None = None
        self._changes: MemoryObjectSendStream[tuple[str, str]] | None = None

    async def run(self) -> None:
        """Publish and listen until cancelled."""
        if self._signals is None:
            return
        send, receive = anyio.create_memory_object_stream[tuple[str, str]](_MAX_WAITING)
        with send, receive:
            async with anyio.create_task_group() as tasks:
                self._tasks, self._changes = tasks, send
                try:
                    await self._publish(self._signals, receive)
                finally:
                    self._tasks = self._changes = None

    def changed(self, owner: str, chat_id: str) -> None:
        """Tell other servers, soon, that a chat of this user changed."""
        if self._changes is not None:
            try:
                self._changes.send_nowait((owner, chat_id))
            except anyio.WouldBlock:
                self._logger.warning("other servers are told too late of chats that changed")

    @asynccontextmanager
    async def heard(self, owner: str) -> AsyncIterator[None]:
        """Listen for a user as long as one of their sockets is open."""
        signals, tasks = self._signals, self._tasks
        if signals is None or tasks is None:
            yield
            return
        ear = self._ears.get(owner)
        if ear is None:
            ear = self._ears[owner] = _Ear()
            tasks.start_soon(self._listen, signals, owner, ear)
        ear.sockets += 1
        try:
            with anyio.move_on_after(_READY_S):
                await ear.ready.wait()
            yield
        finally:
            ear.sockets -= 1
            if not ear.sockets:
                ear.scope.cancel()
                del self._ears[owner]

    async def _publish(self, signals: Signals, changes: AsyncIterator[tuple[str, str]]) -> None:
        async for owner, chat_id in changes:
            try:
                await signals.publish(_channel(owner), {"from": self._self, "chat": chat_id})
            except StoreUnavailable as error:
                self._logger.warning("other servers cannot be told of a chat that changed: %s", error)
            except Exception:
                self._logger.exception("other servers cannot be told of a chat that changed")

    async def _listen(self, signals: Signals, owner: str, ear: _Ear) -> None:
        with ear.scope:
            while True:
                try:
                    async with signals.subscribe(_channel(owner)) as incoming:
                        if ear.ready.is_set():
                            await self._catch_up(owner)
                        ear.ready.set()
                        await self._take(owner, incoming)
                except StoreUnavailable as error:
                    self._logger.warning("changes of other servers cannot be heard: %s", error)
                except Exception:
                    self._logger.exception("changes of other servers cannot be heard")
                ear.ready.set()  # whoever waits goes on without
                await anyio.sleep(_RETRY_S)

    async def _take(self, owner: str, incoming: AsyncIterator[Signal]) -> None:
        last: int | None = None
        async for signal in incoming:
            chat_id = signal.payload.get("chat")
            if last is not None and signal.sequence != last + 1:
                await self._catch_up(owner)
            elif signal.payload.get("from") != self._self and isinstance(chat_id, str):
                await self._audience.catch_up(chat_id)
            last = signal.sequence

    async def _catch_up(self, owner: str) -> None:
        for chat_id in self._audience.chats_of(owner):
            await self._audience.catch_up(chat_id)


def _channel(owner: str) -> str:
    return f"chat_app:{owner}"
