"""Who in this process listens to which channel, and how far each has been told."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from jackfield.contracts.json_object import json_object
from jackfield.contracts.signal_queue import SignalQueue


@dataclass(slots=True)
class Channel:
    """A channel that somebody here listens to."""

    told: int | None = None
    """Number of the last signal that was handed on; None until it is known where to begin."""
    subscriptions: list[SignalQueue[str]] = field(default_factory=list)

    def tell(self, sequence: int, payload: str) -> None:
        """Hand on a signal unless it was."""
        if self.told is not None and sequence > self.told:
            self.told = sequence
            for subscription in self.subscriptions:
                subscription.offer(sequence, payload)


class Listeners:
    """The channels, by key, and which of them are known to be behind the database."""

    def __init__(self, max_waiting: int) -> None:
        self.channels: dict[bytes, Channel] = {}
        self.behind: set[bytes] = set()
        self.wake = anyio.Event()
        """Set when somebody should look: a channel is behind, or somebody began to listen."""
        self._max_waiting = max_waiting

    def add(self, key: bytes) -> SignalQueue[str]:
        """Begin to collect signals."""
        subscription = SignalQueue(self._max_waiting, json_object)
        self.channels.setdefault(key, Channel()).subscriptions.append(subscription)
        return subscription

    def begin(self, key: bytes, subscription: SignalQueue[str], head: int) -> None:
        """Listen to what comes after a signal."""
        channel = self.channels[key]
        if channel.told is None:
            channel.told = head
        subscription.drop_until(head)  # published before the listening began
        self.behind.add(key)  # what was heard of until now could not be judged
        self.wake.set()

    def remove(self, key: bytes, subscription: SignalQueue[str]) -> None:
        """End a listener."""
        subscription.close()
        channel = self.channels[key]
        channel.subscriptions.remove(subscription)
        if not channel.subscriptions:
            del self.channels[key]
            self.behind.discard(key)

    def published(self, key: bytes, sequence: int, payload: str) -> None:
        """Hand on a signal of this process at once, unless another one must come before it."""
        channel = self.channels.get(key)
        if channel is not None and channel.told is not None and sequence == channel.told + 1:
            channel.tell(sequence, payload)
        else:
            self.heard(key, sequence)

    def heard(self, key: bytes, sequence: int) -> None:
        """Note that there is such a signal."""
        channel = self.channels.get(key)
        if channel is not None and (channel.told is None or sequence > channel.told):
            self.behind.add(key)
            self.wake.set()

    def may_have_missed(self) -> None:
        """Note that any channel may be behind."""
        self.behind.update(self.channels)
        self.wake.set()
