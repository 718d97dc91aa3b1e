"""Who listens to a channel, and what they have been told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import anyio

from jackfield.contracts.signal_queue import SignalQueue
from jackfield_session_redis.jsontext import from_json

_NO_PAYLOAD: Final = b"{}"


class Subscription(SignalQueue[bytes]):
    """One listener."""

    def __init__(self, max_waiting: int) -> None:
        super().__init__(max_waiting, from_json)
        self.told = False
        """Whether it was ever offered a signal, so that a gap before the next one would show."""

    def offer(self, sequence: int, payload: bytes) -> None:
        self.told = True
        super().offer(sequence, payload)


@dataclass(slots=True)
class Channel:
    """The listeners of a channel, and the number up to which they know it."""

    newest: int
    subscriptions: list[Subscription] = field(default_factory=list)
    heard: anyio.Event = field(default_factory=anyio.Event)
    """Set while Redis delivers the channel."""
    lost: bool = False
    """Whether the connection was lost, and what was missed has not been told yet."""
    doubtful: bool = False
    """Whether the number that Redis knows says too little of what was missed."""
    _replayed: int = 0

    def deliver(self, signal: bytes) -> None:
        """Tell everybody what was published just now, unless it was replayed already."""
        number, payload = split(signal)
        if number > self._replayed:
            self._tell(number, payload)

    def replay(self, signal: bytes) -> None:
        """Tell everybody the last signal of the channel, if it was missed; a gap before it shows."""
        number, payload = split(signal)
        if number <= self.newest:
            return
        for subscription in self.subscriptions:
            if not subscription.told and number > self.newest + 1:
                subscription.offer(self.newest, _NO_PAYLOAD)
        self._replayed = number
        self._tell(number, payload)

    def _tell(self, number: int, payload: bytes) -> None:
        self.newest = number
        for subscription in self.subscriptions:
            subscription.offer(number, payload)


def split(signal: bytes | None) -> tuple[int, bytes]:
    """Give number and payload of what Redis keeps of a channel; it may keep nothing."""
    number, _, payload = (signal or b"0").partition(b" ")
    return int(number), payload or _NO_PAYLOAD
