"""What waits to be sent to a client: one queue, one task that empties it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio
from starlette.types import Message

from jackfield.contracts.transport import MORE_FOLLOWS

_TOGETHER_S: Final = 0.003
"""How long a message may wait for what usually follows at once: sending each by itself costs more."""

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode  # ASCII: sends whatever a model may write


class Outbox:
    """Takes messages at any time and sends them in their order. `run` does the sending.

    Words of an answer wait a moment, so that many become one message; sound overtakes them. Other things
    that need not be known at once wait a moment for what follows, since messages cost less together. A client
    that reads too slowly is given up once more than `max_bytes` wait for it: `overflow` is called, once, and
    everything is forgotten.
    """

    def __init__(self, max_bytes: int, overflow: Callable[[], None]) -> None:
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._queue: deque[bytes | str] = deque()
        self._waiting_bytes = 0
        self._words: list[str] = []
        self._words_item = 0
        self._words_due = False  # whether they have waited long enough
        self._wake = anyio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._finishing = False
        self._given_up = False
        self.finished = anyio.Event()

    def put(self, message: Mapping[str, object], *, soon: bool = False) -> None:
        """Send a message: at once, or `soon`, which is with the next one or in a moment."""
        self._close_words()
        if self._add(_encode(message)):
            self._wake_soon() if soon else self._wake_up()

    def put_words(self, item: int, text: str) -> None:
        """Send words of an answer, soon."""
        if item != self._words_item:
            self._close_words()
            self._words_item = item
        if self._admits(len(text)):
            self._words.append(text)
            self._wake_soon()

    def put_sound(self, data: bytes) -> None:
        """Send sound, at once."""
        if self._add(data):
            self._wake_up()

    def drop_sound(self) -> None:
        """Forget sound that was not sent yet."""
        if self._queue:
            left = [entry for entry in self._queue if isinstance(entry, str)]
            self._queue.clear()
            self._queue += left
            self._waiting_bytes = sum(map(len, self._queue)) + sum(map(len, self._words))

    def finish(self) -> None:
        """Let `run` return, and set `finished`, once everything is sent; or at once after giving up."""
        self._finishing = True
        self._close_words()
        self._wake_up()

    async def run(self, send: Callable[[Message], Awaitable[None]]) -> None:
        """Send until `finish`. Cancelled, it leaves nothing half sent that a client could notice."""
        queue = self._queue
        while True:
            while queue or self._words_due:
                if not queue:
                    self._close_words()
                    continue
                entry = queue.popleft()
                self._waiting_bytes -= len(entry)
                key = "bytes" if isinstance(entry, bytes) else "text"
                message: dict[str, object] = {"type": "websocket.send", key: entry}
                if queue:
                    message[MORE_FOLLOWS] = True
                await send(message)
            if self._finishing:
                self.finished.set()
                return
            self._wake = anyio.Event()
            await self._wake.wait()

    def _close_words(self) -> None:
        self._words_due = False
        if self._words:
            text = "".join(self._words)
            self._words.clear()
            self._waiting_bytes -= len(text)
            self._add(_encode({"type": "reply.text", "item": self._words_item, "text": text}))

    def _wake_up(self) -> None:
        self._wake.set()
        if self._timer is not None and not self._words:
            self._timer.cancel()
            self._timer = None

    def _wake_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TOGETHER_S, self._moment_over)

    def _moment_over(self) -> None:
        self._timer = None
        self._words_due = bool(self._words)
        self._wake.set()

    def _add(self, entry: bytes | str) -> bool:
        admitted = self._admits(len(entry))
        if admitted:
            self._queue.append(entry)
        return admitted

    def _admits(self, size: int) -> bool:
        """Count what is to wait; False once the client was given up."""
        if self._given_up:
            return False
        self._waiting_bytes += size
        if self._waiting_bytes <= self._max_bytes:
            return True
        self._given_up = True
        self._queue.clear()
        self._words.clear()
        self._words_due = False
        self.finished.set()
        self._overflow()
        return False
