"""A WebSocket of the client's side that costs little: no task, no thread, frames made beforehand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol, cast

import anyio

from bench.call_load import binary, text

__all__ = ["Line", "Listener", "binary", "dial", "text", "upgrade"]

_CLOSE: Final = b"\x88\x82\0\0\0\0\x03\xe8"
"""With code 1000."""
_BINARY: Final = 2
_CLOSED: Final = 8
_PING: Final = 9
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127


def upgrade(path: str, headers: Mapping[str, str]) -> bytes:
    """Give the request that opens a WebSocket."""
    lines = {
        "Host": "soak",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()


_VOICE: Final = upgrade("/voice", {})


class Listener(Protocol):
    """Who is told what comes."""

    def event(self, message: dict[str, Any]) -> None:
        """A JSON message."""
        ...

    def sound(self, data: bytes) -> None:
        """A binary message."""
        ...

    def closed(self) -> None:
        """The connection is gone."""
        ...


class Line(asyncio.Protocol):
    """One connection; `dial` makes it, with a request as `upgrade` writes it."""

    def __init__(self, listener: Listener, request: bytes = _VOICE) -> None:
        self.open = anyio.Event()
        self.over = anyio.Event()
        """Set when the connection is gone."""
        self.closed_with: int | None = None
        """The server's close code."""
        self.pings = 0
        """Those that were answered."""
        self._request = request
        self._listener = listener
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self.open.is_set():
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self.open.set()
            if not head.startswith(b"HTTP/1.1 101"):
                self.drop()
                return
        at = 0
        while (end := self._take(data, at)) is not None:
            at = end
        self._buffer = data[at:]

    def _take(self, data: bytes, at: int) -> int | None:
        """Take the message that begins there; gives where it ends, None while it is not complete."""
        start = at + 2
        if len(data) < start:
            return None
        size = data[at + 1]
        if size >= _TWO_BYTES:
            width = 8 if size == _EIGHT_BYTES else 2
            size = int.from_bytes(data[start : start + width], "big")
            start += width
        if len(data) < start + size:
            return None
        self._message(data[at] & 15, data[start : start + size])
        return start + size

    def _message(self, kind: int, payload: bytes) -> None:
        if kind == _BINARY:
            self._listener.sound(payload)
        elif kind == _PING:
            self.pings += 1
            self.send(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        elif kind == _CLOSED:
            self.closed_with = int.from_bytes(payload[:2], "big")
            self.drop()
        else:
            self._listener.event(json.loads(payload))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.set()
        self.over.set()
        self._listener.closed()

    def send(self, data: bytes) -> None:
        """Send messages, as `binary` and `text` make them."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def command(self, message: Mapping[str, object]) -> None:
        """Send a JSON message."""
        self.send(text(message))

    def say_goodbye(self) -> None:
        """Close as a browser does; the server answers and closes the connection."""
        self.send(_CLOSE)

    def drop(self) -> None:
        """Close the connection without a word."""
        if self._transport is not None:
            self._transport.close()

    def break_off(self) -> None:
        """Close it as if the cable was cut: what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()


async def dial(port: int, line: Line) -> None:
    """Connect.

    :raises OSError: when nobody listens.
    """
    await asyncio.get_running_loop().create_connection(lambda: line, "127.0.0.1", port)
    await line.open.wait()
