"""A small HTTP/1.1 server on a real socket, for tests of plugins that are clients of a service.

What it answers is a function of the test: it may send pieces, stall, or cut the connection.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes
    connection: int
    """Number of the connection it came on, from 0."""

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        value: dict[str, Any] = json.loads(self.body)
        return value


class Reply:
    """Answers one request."""

    def __init__(self, stream: SocketStream, received: BufferedByteReceiveStream) -> None:
        self._stream = stream
        self._received = received

    async def whole(self, status: int, body: bytes | object, **headers: str) -> None:
        """Send a whole answer; what is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json"} | _named(headers)
        await self._stream.send(_head(status, given | {"content-length": str(len(data))}) + data)

    async def begin(self, status: int = 200, **headers: str) -> None:
        """Send the head of an answer in pieces."""
        given = {"content-type": "text/event-stream"} | _named(headers)
        await self._stream.send(_head(status, given | {"transfer-encoding": "chunked"}))

    async def send(self, piece: bytes) -> None:
        """Send a piece."""
        await self._stream.send(b"%x\r\n%s\r\n" % (len(piece), piece))

    async def end(self) -> None:
        """End an answer in pieces."""
        await self._stream.send(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        """Send something that need not be HTTP."""
        await self._stream.send(data)

    async def cut(self) -> None:
        """Close the connection in the middle."""
        await self._stream.aclose()

    async def until_left(self) -> None:
        """Return when the client has closed the connection."""
        try:
            await self._received.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


Handler = Callable[[Asked, Reply], Awaitable[None]]


@dataclass
class Service:
    """A server that listens."""

    port: int
    handler: Handler
    """What answers; may be exchanged."""
    asked: list[Asked] = field(default_factory=list)
    """What it was asked so far."""
    connections: int = 0

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream: SocketStream) -> None:
        """Hold one connection."""
        number, self.connections = self.connections, self.connections + 1
        received = BufferedByteReceiveStream(stream)
        async with stream:
            try:
                while True:
                    asked = await _read(received, number)
                    self.asked.append(asked)
                    await self.handler(asked, Reply(stream, received))
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                return
            except anyio.ClosedResourceError:
                return


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Service]:
    """A server on a port of its own; connections are cut at the end."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        service = Service(listener.extra(SocketAttribute.local_port), handler)
        tasks.start_soon(listener.serve, service.serve)
        yield service
        tasks.cancel_scope.cancel()


async def _read(received: BufferedByteReceiveStream, connection: int) -> Asked:
    lines = (await received.receive_until(b"\r\n\r\n", 65536)).decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ")
    fields = (line.partition(":") for line in lines[1:])
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await received.receive_exactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return Asked(method, parts.path, query, headers, body, connection)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
