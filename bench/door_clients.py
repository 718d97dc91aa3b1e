"""Clients of the doors that cost little: bytes made beforehand, over a raw connection."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlencode

from bench.call_load import text as masked
from bench.door_servers import TOKENS

TEXT: Final = "How do I get from the main station to the old harbour on foot today?"
_LENGTH: Final = re.compile(rb"(?i)content-length: (\d+)")
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_CLOSE: Final = 8
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127


class Talk(Protocol):
    """A connection over which the same is asked again and again."""

    async def ask(self) -> None:
        """Ask, and return when the whole answer is there."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


class Wire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader: Final = reader
        self.writer: Final = writer

    @classmethod
    async def to(cls, port: int) -> Wire:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def request(self, request: bytes) -> bytes:
        """Make a request of HTTP and give the body of its answer, whole or with the marks of its chunks."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None:
            return await self.reader.readuntil(_LAST_CHUNK)
        body = await self.reader.readexactly(int(length[1]))
        if head[9:10] != b"2":
            raise SystemExit(f"a server answered {head[9:12].decode()}: {body.decode()}")
        return body

    async def close(self) -> None:
        """End it."""
        self.writer.close()
        await self.writer.wait_closed()


class Requests:
    """A request of HTTP, whose answer must have the text in it."""

    def __init__(self, wire: Wire, request: bytes) -> None:
        self._wire = wire
        self._request = request

    async def ask(self) -> None:
        body = await self._wire.request(self._request)
        if TEXT.encode() not in body:
            raise SystemExit(f"a wrong answer: {body.decode()}")

    async def close(self) -> None:
        await self._wire.close()


class Frames:
    """A frame of a WebSocket. The last frame of its answer has `last` in it, and one of all the text."""

    def __init__(self, wire: Wire, frame: bytes, last: bytes) -> None:
        self._wire = wire
        self._frame = frame
        self._last = last

    async def ask(self) -> None:
        self._wire.writer.write(self._frame)
        answered = False
        while True:
            payload = await self._receive()
            answered = answered or TEXT.encode() in payload
            if self._last in payload:
                break
        if not answered:
            raise SystemExit(f"a wrong answer: {payload.decode()}")

    async def _receive(self) -> bytes:
        reader = self._wire.reader
        kind, size = await reader.readexactly(2)
        if size >= _TWO_BYTES:
            size = int.from_bytes(await reader.readexactly(8 if size == _EIGHT_BYTES else 2), "big")
        payload = await reader.readexactly(size)
        if kind & 15 == _CLOSE or b'"error"' in payload:
            raise SystemExit(f"a server refused: {payload!r}")
        return payload

    async def close(self) -> None:
        await self._wire.close()


@dataclass(frozen=True)
class Way:
    """A way of asking a door."""

    name: str
    open: Callable[[int, int], Awaitable[Talk]]
    """Connects to a port, as the user of a number."""


def post(path: str, kind: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Write a request."""
    lines = {"Host": "bench", "Content-Type": kind, "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def post_json(path: str, number: int, body: Mapping[str, object]) -> bytes:
    """Write a request that a user makes in JSON."""
    return post(path, "application/json", json.dumps(body).encode(), _signed(number))


def form(path: str, number: int) -> bytes:
    """Write a message as a form."""
    name = f"user-{number}"
    fields = {"message": TEXT, "type": "text", "sessionId": f"of-{name}", "userId": name, "username": name}
    return post(path, "application/x-www-form-urlencoded", urlencode(fields).encode(), {})


async def upgraded(port: int, path: str, headers: Mapping[str, str]) -> Wire:
    """Open a WebSocket."""
    wire = await Wire.to(port)
    lines = {
        "Host": "bench",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    wire.writer.write(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    answer = await wire.reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"a server opened no WebSocket: {answer.decode()}")
    return wire


def _signed(number: int) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {TOKENS[number]}"}


def _posted(path: str) -> Callable[[int, int], Awaitable[Talk]]:
    async def open_form(port: int, number: int) -> Talk:
        return Requests(await Wire.to(port), form(path, number))

    return open_form


async def _proxy_socket(port: int, number: int) -> Talk:
    wire = await upgraded(port, f"/proxy/ws/user-{number}", {})
    return Frames(wire, masked({"message": TEXT, "id": "1"}), b'"id":"1"')


def _generate(*, stream: bool) -> Callable[[int, int], Awaitable[Talk]]:
    async def open_chat(port: int, number: int) -> Talk:
        wire = await Wire.to(port)
        chat = json.loads(await wire.request(post_json("/app/chat", number, {})))
        body = {"message": TEXT, "chat_id": chat["id"], "stream": stream}
        return Requests(wire, post_json("/app/generate", number, body))

    return open_chat


def _chat_socket(*, stream: bool) -> Callable[[int, int], Awaitable[Talk]]:
    async def open_chat(port: int, number: int) -> Talk:
        wire = await upgraded(port, "/app/ws/chat", _signed(number))
        frame = masked({"event": "user_message", "message": TEXT, "stream": stream})
        return Frames(wire, frame, b'"chat_history"')

    return open_chat


async def _conversation(port: int, number: int) -> tuple[Wire, str]:
    wire = await Wire.to(port)
    found = json.loads(await wire.request(post_json("/pi/api/conversations", number, {})))
    return wire, found["conversation"]["id"]


async def _pichat_post(port: int, number: int) -> Talk:
    wire, conversation = await _conversation(port, number)
    path = f"/pi/api/conversations/{conversation}/messages"
    return Requests(wire, post_json(path, number, {"content": TEXT}))


def _pichat_socket(*, stream: bool) -> Callable[[int, int], Awaitable[Talk]]:
    async def open_conversation(port: int, number: int) -> Talk:
        other, conversation = await _conversation(port, number)
        await other.close()
        wire = await upgraded(port, "/pi/ws", _signed(number))
        payload = {"conversation_id": conversation, "content": TEXT, "stream": stream}
        return Frames(wire, masked({"action": "send_message", "payload": payload}), b'"assistant_message"')

    return open_conversation


WAYS: Final[Sequence[Way]] = [
    Way("relay_chat, POST", _posted("/relay/chat")),
    Way("smart_proxy, POST", _posted("/proxy/chat")),
    Way("smart_proxy, WebSocket", _proxy_socket),
    Way("chat_app, POST", _generate(stream=False)),
    Way("chat_app, POST in pieces", _generate(stream=True)),
    Way("chat_app, WebSocket", _chat_socket(stream=False)),
    Way("chat_app, WebSocket in pieces", _chat_socket(stream=True)),
    Way("pichat, POST", _pichat_post),
    Way("pichat, WebSocket", _pichat_socket(stream=False)),
    Way("pichat, WebSocket in pieces", _pichat_socket(stream=True)),
]
STORED: Final = ("chat_app, POST", "chat_app, WebSocket")
"""Ways that are asked with every store."""
