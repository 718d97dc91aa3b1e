"""What a session store has for one listener of a channel: the iterator that `Signals.subscribe` gives."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Generic, TypeVar

import anyio

from jackfield.contracts.session import Signal

T = TypeVar("T")


class SignalQueue(Generic[T]):
    """Signals that one listener has not had yet. Iterating waits for the next, until it is closed.

    Of more than `max_waiting` the oldest are dropped: the listener sees the gap. A payload waits as the store
    keeps it, and `read` makes the listener's own of it.
    """

    def __init__(self, max_waiting: int, read: Callable[[T], Mapping[str, Any]]) -> None:
        self._waiting: deque[tuple[int, T]] = deque(maxlen=max_waiting)
        self._read = read
        self._wake = anyio.Event()
        self._closed = False

    def offer(self, sequence: int, payload: T) -> None:
        """Add a signal. Called on the event loop."""
        self._waiting.append((sequence, payload))
        self._wake.set()

    def drop_until(self, sequence: int) -> None:
        """Drop what waits, up to the signal of that number."""
        while self._waiting and self._waiting[0][0] <= sequence:
            self._waiting.popleft()

    def close(self) -> None:
        """End the iteration, whatever waits."""
        self._closed = True
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[Signal]:
        return self

    async def __anext__(self) -> Signal:
        while not self._waiting and not self._closed:
            self._wake = anyio.Event()
            await self._wake.wait()
        if self._closed:
            raise StopAsyncIteration
        sequence, payload = self._waiting.popleft()
        return Signal(sequence, self._read(payload))
