"""WebSockets byte by byte: a client that may break every rule of RFC 6455."""

from __future__ import annotations

import base64
import json
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
WAIT_S: Final = 20.0
MASK: Final = b"\x11\x22\x33\x44"
_RESET: Final = struct.pack("ii", 1, 0)


def frame(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    masked: bool = True,
    rsv: int = 0,
    claimed: int | None = None,
) -> bytes:
    """Write a frame; `claimed` is the length that it tells, if that is not to be the true one."""
    length = len(payload) if claimed is None else claimed
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = masked << 7
    if length < 126:
        head += bytes([bit | length])
    elif length < 1 << 16:
        head += struct.pack("!BH", bit | 126, length)
    else:
        head += struct.pack("!BQ", bit | 127, length)
    return head + MASK + _masked(payload) if masked else head + payload


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """Write a farewell."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


def _masked(payload: bytes) -> bytes:
    key = int.from_bytes((MASK * (len(payload) // 4 + 1))[: len(payload)], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


@dataclass(frozen=True, slots=True)
class Message:
    """What the server said: a text, sound, or that it closes the socket with a code."""

    opcode: int
    data: bytes

    @property
    def code(self) -> int:
        """The code of a farewell; 1005 for one without."""
        return int.from_bytes(self.data[:2], "big") if len(self.data) >= 2 else 1005

    def event(self) -> dict[str, Any]:
        """A text as the JSON object that it has to be."""
        found = json.loads(self.data)
        if not isinstance(found, dict):
            raise ValueError("the server said what is no JSON object")
        return found


class RawSocket:
    """A connection on which the handshake was made. A context manager; in the end it is just dropped.

    `status` is that of the answer to the handshake, 0 without one.
    """

    def __init__(
        self, port: int, path: str, headers: Mapping[str, str] | None = None, early: bytes = b""
    ) -> None:
        """`early` is sent with the handshake, before anybody can know how that is answered."""
        self.status = 0
        self.closed = False
        """Whether the server has closed the connection."""
        self._data = bytearray()
        self._parts = bytearray()
        self._part_opcode = TEXT
        self._socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(handshake(path, headers or {}) + early)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._socket.close()

    def open(self) -> bool:
        """Read the answer to the handshake; says whether the socket is open."""
        while b"\r\n\r\n" not in self._data:
            if not self._fill(time.monotonic() + WAIT_S):
                return False
        head, _, rest = bytes(self._data).partition(b"\r\n\r\n")
        self._data = bytearray(rest)
        self.status = int(head.split(b" ", 2)[1])
        return self.status == 101

    def send(self, data: bytes) -> None:
        """Send bytes, if the server is still there."""
        with suppress(OSError):
            self._socket.sendall(data)

    def say(self, message: object) -> None:
        """Send a message: bytes as sound, anything else as JSON."""
        if isinstance(message, bytes):
            self.send(frame(BINARY, message))
        else:
            self.send(frame(TEXT, json.dumps(message).encode()))

    def receive(self, timeout_s: float = WAIT_S) -> Message | None:
        """Give what the server says next, a pong too; None when nothing comes for so long, or ever."""
        until_s = time.monotonic() + timeout_s
        while (found := self._next()) is None:
            if not self._fill(until_s):
                return None
        return found

    def event(self, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """Give the next text.

        :raises RuntimeError: when there is none.
        """
        while (message := self.receive(timeout_s)) is not None and message.opcode != CLOSE:
            if message.opcode == TEXT:
                return message.event()
        raise RuntimeError(f"no message came, but {message}")

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off without a word."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    def _fill(self, until_s: float) -> bool:
        """Read more; False when nothing came in time, or nothing can come any more."""
        self._socket.settimeout(max(0.001, until_s - time.monotonic()))
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if not data:
            self.closed = True
        self._data += data
        return bool(data)

    def _next(self) -> Message | None:
        while (found := self._frame()) is not None:
            fin, opcode, payload = found
            if opcode >= CLOSE:
                return Message(opcode, payload)
            if opcode != CONTINUATION:
                self._part_opcode = opcode
                self._parts.clear()
            self._parts += payload
            if fin:
                return Message(self._part_opcode, bytes(self._parts))
        return None

    def _frame(self) -> tuple[bool, int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        length, at = data[1] & 0x7F, 2
        if length >= 126:
            width = 2 if length == 126 else 8
            if len(data) < 2 + width:
                return None
            length, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        if len(data) < at + length:
            return None
        found = bool(data[0] & 0x80), data[0] & 0x0F, bytes(data[at : at + length])
        del data[: at + length]
        return found


def handshake(path: str, headers: Mapping[str, str]) -> bytes:
    """Write the request that opens a WebSocket."""
    fields = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(b"the fuzzer's key").decode(),
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")
