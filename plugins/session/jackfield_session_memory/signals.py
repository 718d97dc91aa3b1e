"""The signals role: publish and subscribe within one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from jackfield import StoreUnavailable
from jackfield.contracts.json_object import json_object, json_text
from jackfield.contracts.session import Signal
from jackfield.contracts.signal_queue import SignalQueue
from jackfield_session_memory.options import MemoryOptions

_CHANNEL_BYTES: Final = 400


@dataclass(slots=True)
class _Channel:
    sequence: int
    subscriptions: list[SignalQueue[str]] = field(default_factory=list)


class MemorySignals:
    """Channels. The numbering of those that nobody listens to is forgotten when there are too many."""

    def __init__(self, options: MemoryOptions) -> None:
        self._max_channels = options.max_channels
        self._max_waiting = options.max_waiting_signals
        self._channels: OrderedDict[str, _Channel] = OrderedDict()
        self._forgotten = 0  # the highest number of a forgotten channel; a channel that returns goes on above
        self._listeners = 0

    async def publish(self, channel: str, payload: Mapping[str, Any]) -> int:
        text = json_text(payload)
        there = self._channel(channel)
        there.sequence += 1
        for subscription in there.subscriptions:
            subscription.offer(there.sequence, text)
        return there.sequence

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        return self._subscribed(channel)

    @asynccontextmanager
    async def _subscribed(self, channel: str) -> AsyncIterator[AsyncIterator[Signal]]:
        if self._listeners >= self._max_channels:
            raise StoreUnavailable(
                f"The memory store has {self._listeners} listeners, and takes no more. Raise `max_channels`."
            )
        subscription = SignalQueue(self._max_waiting, json_object)
        there = self._channel(channel)
        there.subscriptions.append(subscription)
        self._listeners += 1
        try:
            yield subscription
        finally:
            there.subscriptions.remove(subscription)
            self._listeners -= 1
            subscription.close()

    def _channel(self, name: str) -> _Channel:
        channel = self._channels.get(name)
        if channel is None:
            if len(self._channels) >= self._max_channels:
                self._forget_one()
            channel = self._channels[name] = _Channel(self._forgotten)
        self._channels.move_to_end(name)
        return channel

    def _forget_one(self) -> None:
        idle = next(self._idle(), None)
        if idle is not None:
            self._forgotten = max(self._forgotten, self._channels.pop(idle).sequence)

    def _idle(self) -> Iterator[str]:
        return (name for name, channel in self._channels.items() if not channel.subscriptions)

    def _signals_bytes(self) -> int:
        return len(self._channels) * _CHANNEL_BYTES
