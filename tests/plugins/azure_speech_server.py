"""A server that speaks the WebSocket protocol of Azure Speech, for tests with the real SDK.

What it hears and says is in `azure_speech_senses`. The key that a client brings decides what goes wrong; see
`Key`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.from_thread import start_blocking_portal
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.plugins.azure_speech_senses import CHUNK_S, Ear, Speech

NOT_UNDERSTOOD: Final = "Unsupported. It quotes: Rosebud"

_KEY_HEADER: Final = "Ocp-Apim-Subscription-Key"
_WAVE_HEADER_BYTES: Final = 44
_PAUSE_S: Final = 0.002
"""Between chunks of 100 ms: fifty times as fast as somebody speaks."""


class Key(StrEnum):
    """What a client may bring, beside any other text, with which all goes well."""

    WRONG = "a-key-that-is-wrong"
    THROTTLED = "a-key-with-too-many-streams"
    BROKEN = "a-key-of-a-server-that-fails"
    CUT = "a-key-whose-connection-breaks"
    BUSY = "a-key-that-is-throttled-half-way"
    REFUSED = "a-key-whose-requests-are-refused"
    MUTE = "a-key-that-is-not-answered"
    IDLE = "a-key-whose-connection-ends-between-turns"


_REFUSED_AT_ONCE: Final = {
    Key.WRONG: HTTPStatus.UNAUTHORIZED,
    Key.THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    Key.BROKEN: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def native_threads() -> int:
    """Count the threads that Python knows nothing of: those of the SDK."""
    return len(list(Path("/proc/self/task").iterdir())) - threading.active_count()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has become true, of which nobody tells."""
    with anyio.fail_after(5):
        while not condition():
            await anyio.sleep(0.01)


@dataclass(slots=True)
class SpeechServer:
    """What the server was asked, and where it is."""

    host: str = ""
    connections: int = 0
    ended: int = 0
    refusals: int = 0
    turns: int = 0
    paths: list[str] = field(default_factory=list)
    contexts: list[Mapping[str, Any]] = field(default_factory=list)
    ssml: list[str] = field(default_factory=list)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse those with a key that is refused at once."""
        key = request.headers.get(_KEY_HEADER, "")
        for refused, status in _REFUSED_AT_ONCE.items():
            if key == refused:
                self.refusals += 1
                return connection.respond(status, NOT_UNDERSTOOD)
        return None

    async def serve(self, socket: ServerConnection) -> None:
        """Serve a client until it goes."""
        request = socket.request
        assert request is not None
        self.connections += 1
        self.paths.append(request.path)
        client = _Client(self, socket, request.headers.get(_KEY_HEADER, ""))
        async with anyio.create_task_group() as tasks:
            with suppress(ConnectionClosed):
                async for message in socket:
                    headers, body = _read(message)
                    if headers["path"] == "ssml":
                        tasks.start_soon(client.speak, headers["x-requestid"], body.decode())
                    else:
                        await client.take(headers, body)
            tasks.cancel_scope.cancel()
        self.ended += 1


@contextmanager
def speech_server() -> Iterator[SpeechServer]:
    """Serve in a thread of its own."""
    server = SpeechServer()

    @asynccontextmanager
    async def listening() -> AsyncIterator[int]:
        admit = server.admit
        async with serve(server.serve, "127.0.0.1", 0, process_request=admit, close_timeout=0.2) as listener:
            yield next(iter(listener.sockets)).getsockname()[1]

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(listening()) as port:
        server.host = f"ws://127.0.0.1:{port}"
        yield server


class _Client:
    """One connection: turns of recognition one after the other, or of synthesis."""

    def __init__(self, server: SpeechServer, socket: ServerConnection, key: str) -> None:
        self._server = server
        self._socket = socket
        self._key = key
        self._turn = ""
        self._ear = Ear("")
        self._language = ""
        self._format = ""

    async def take(self, headers: Mapping[str, str], body: bytes) -> None:
        path = headers["path"]
        if path in ("speech.context", "synthesis.context"):
            context: Mapping[str, Any] = json.loads(body)
            self._server.contexts.append(context)
            self._language = context.get("languageId", {}).get("languages", [""])[-1]
            self._format = context.get("synthesis", {}).get("audio", {}).get("outputFormat", "")
        elif path == "audio":
            await self._hear(headers, body)

    async def _hear(self, headers: Mapping[str, str], body: bytes) -> None:
        if headers["x-requestid"] != self._turn:
            self._turn = headers["x-requestid"]
            self._server.turns += 1
            self._ear = Ear(self._language)
            await self._send("turn.start", {"context": {"serviceTag": "tag"}})
        if headers.get("content-type") == "audio/x-wav":
            body = body[_WAVE_HEADER_BYTES:]
        elif not body:
            await self._end_turn()
            return
        for path, message in self._ear.hear(body):
            await self._send(path, message)
        if self._key in (Key.CUT, Key.BUSY, Key.REFUSED) and self._ear.heard_windows > 50:
            await self._fail()

    async def _end_turn(self) -> None:
        if self._key == Key.MUTE:
            return
        for path, message in self._ear.finish():
            await self._send(path, message)
        await self._send("turn.end", {})
        if self._key == Key.IDLE:
            await self._socket.close()

    async def _fail(self) -> None:
        if self._key == Key.CUT:
            self._socket.transport.abort()
        elif self._key == Key.BUSY:
            await self._socket.close(4429, NOT_UNDERSTOOD)
        else:
            await self._socket.close(1007, NOT_UNDERSTOOD)

    async def speak(self, turn: str, ssml: str) -> None:
        self._server.ssml.append(ssml)
        self._turn = turn
        with suppress(ConnectionClosed):
            await self._send("turn.start", {"context": {"serviceTag": "tag"}})
            await self._send("response", {"audio": {"type": "inline", "streamId": turn}})
            if self._key != Key.MUTE:
                await self._say(Speech.read(ssml, self._format))

    async def _say(self, speech: Speech) -> None:
        if self._key == Key.REFUSED:
            await self._fail()
        chunks = list(speech.chunks())
        for at, chunk in enumerate(chunks):
            if at == 5 and self._key in (Key.CUT, Key.BUSY):
                await self._fail()
            marks = speech.marks(at * CHUNK_S, (at + 1) * CHUNK_S)
            if marks:
                await self._send("audio.metadata", {"Metadata": marks})
            await self._send_audio(chunk)
            await anyio.sleep(_PAUSE_S)
        await self._send_audio(b"")
        await self._send("turn.end", {})
        if self._key == Key.IDLE:
            await self._socket.close()

    async def _send(self, path: str, message: Mapping[str, Any]) -> None:
        head = f"X-RequestId:{self._turn}\r\nPath:{path}\r\nContent-Type:application/json; charset=utf-8"
        await self._socket.send(f"{head}\r\n\r\n{json.dumps(message)}")

    async def _send_audio(self, pcm: bytes) -> None:
        head = f"X-RequestId:{self._turn}\r\nPath:audio\r\nX-StreamId:{self._turn}\r\n".encode()
        await self._socket.send(len(head).to_bytes(2, "big") + head + pcm)


def _read(message: str | bytes) -> tuple[dict[str, str], bytes]:
    if isinstance(message, bytes):
        end = 2 + int.from_bytes(message[:2], "big")
        head, body = message[2:end].decode(), message[end:]
    else:
        head, _, text = message.partition("\r\n\r\n")
        body = text.encode()
    lines = (line.partition(":") for line in head.splitlines() if line)
    return {name.lower(): value.strip() for name, _, value in lines}, body
