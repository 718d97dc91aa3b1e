"""WebSockets whose frames leave together when they were sent together.

Models and caches give text in bursts, and a system call for each frame of a burst costs more than all else
that is done for it. So the first frame is written at once, and those that follow in the same pass of the
event loop are written together at its end. A model that gives one token at a time gains nothing by it, and
loses next to nothing. Sound waits for nothing, and takes along what is held before it. A door that knows that
more follows may say so, and then even the first frame waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from uvicorn._types import ASGISendEvent

from jackfield.contracts.transport import MORE_FOLLOWS
from jackfield.server.misconduct import StrictWebSocketProtocol

MOST_HELD_BYTES: Final = 64 * 1024
"""More is never held back: the kernel has to say when a client reads too slowly."""
LARGE_BYTES: Final = 1024
"""A frame as large as that is worth a system call of its own: a fiftieth of a second of sound, or so."""

_ALONE: Final = 4
"""Frames that are written by themselves after one that had no company: looking for more costs something."""


class GatheringTransport(asyncio.Transport):
    """A connection that is written to once or twice in a pass of the event loop, whatever is sent."""

    def __init__(self, connection: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._connection = connection
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._gathers = False
        self._alone = 0  # frames to write without waiting for more

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        """Write at once what comes first, and gather what follows."""
        if len(data) >= LARGE_BYTES:
            self._write_large(data)
            return
        if not self._gathers:
            self._connection.write(data)
            if self._alone:
                self._alone -= 1
            else:
                self._gathers = True
                self._loop.call_soon(self._end_pass)
            return
        self._held.append(bytes(data))
        self._held_bytes += len(data)
        if self._held_bytes >= MOST_HELD_BYTES:
            self._write_held()

    def expect_more(self) -> None:
        """Write nothing small before the end of this pass, or before something large."""
        if not self._gathers:
            self._gathers = True
            self._loop.call_soon(self._end_pass)

    def _write_large(self, data: bytes | bytearray | memoryview[int]) -> None:
        if self._held:
            self._held.append(bytes(data))
            self._write_held()
        else:
            self._connection.write(data)

    def _end_pass(self) -> None:
        self._gathers = False
        if self._held:
            self._write_held()
        else:
            self._alone = _ALONE

    def _write_held(self) -> None:
        if self._held and not self._connection.is_closing():
            self._connection.write(b"".join(self._held))
        self._held.clear()
        self._held_bytes = 0

    def close(self) -> None:
        """Write what is held and close."""
        self._write_held()
        self._connection.close()

    def is_closing(self) -> bool:
        """Whether the connection is closing or closed."""
        return self._connection.is_closing()

    def pause_reading(self) -> None:
        """Receive nothing."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self._connection.resume_reading()


class GatheringWebSocketProtocol(StrictWebSocketProtocol):
    """A WebSocket over a connection that gathers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a connection that was switched to the protocol of WebSockets."""
        super().connection_made(transport)
        self.transport = self._gathering = GatheringTransport(self.transport, self.loop)

    def send(self, message: ASGISendEvent) -> Coroutine[Any, Any, None]:
        """Send what the application says."""
        if MORE_FOLLOWS in message:
            self._gathering.expect_more()
        return super().send(message)
