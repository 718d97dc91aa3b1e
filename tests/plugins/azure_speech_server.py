"""A server that speaks the WebSocket protocol of Azure Speech, for tests with the real SDK.

It hears words of its own: a tone of a height that stands for the word, `spoken("what", "time")`. It says a
text as a tone that lasts as long as the text is. The key that a client brings decides what goes wrong; see
`Key`.
"""

from __future__ import annotations

import json
import math
import re
import threading
from array import array
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import anyio
from anyio.from_thread import start_blocking_portal
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

WORDS: Final = ("what", "is", "the", "capital", "of", "japan")
WORD_S: Final = 0.35
CHARACTER_S: Final = 0.06
NOT_UNDERSTOOD: Final = "Unsupported. It quotes: Rosebud"

_KEY_HEADER: Final = "Ocp-Apim-Subscription-Key"
_STEP: Final = 1_000
_HEARING_HZ: Final = 16_000
_WINDOW_BYTES: Final = _HEARING_HZ // 100 * 2
_SHORTEST_WINDOWS: Final = 5
_PHRASE_ENDS_AFTER_WINDOWS: Final = 50
_TICKS_PER_S: Final = 10_000_000
_TICKS_PER_WINDOW: Final = _TICKS_PER_S // 100
_WAVE_HEADER_BYTES: Final = 44
_CHUNK_S: Final = 0.1
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


def spoken(*words: str) -> bytes:
    """Say words of `WORDS`, with a little silence after each. PCM as recognisers take it."""
    pcm = bytearray()
    for word in words:
        level = (WORDS.index(word) + 1) * _STEP
        pcm += array("h", [level, -level] * int(_HEARING_HZ * WORD_S / 2)).tobytes()
        pcm += bytes(int(_HEARING_HZ * 0.05) * 2)
    return bytes(pcm)


def native_threads() -> int:
    """Count the threads that Python knows nothing of: those of the SDK."""
    return len(list(Path("/proc/self/task").iterdir())) - threading.active_count()


@dataclass(slots=True)
class SpeechServer:
    """What the server was asked, and where it is."""

    host: str = ""
    connections: int = 0
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
        self._ear = _Ear("")
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
            self._ear = _Ear(self._language)
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
                await self._say(_Speech.read(ssml, self._format))

    async def _say(self, speech: _Speech) -> None:
        if self._key == Key.REFUSED:
            await self._fail()
        chunks = list(speech.chunks())
        for at, chunk in enumerate(chunks):
            if at == 5 and self._key in (Key.CUT, Key.BUSY):
                await self._fail()
            marks = speech.marks(at * _CHUNK_S, (at + 1) * _CHUNK_S)
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


class _Ear:
    """Hears the words of one turn: windows of 10 ms, each of the height of a word, or silent, or noise."""

    def __init__(self, language: str) -> None:
        self._language = {"PrimaryLanguage": {"Language": language}} if language else {}
        self._rest = bytearray()
        self._windows: list[int] = []
        self._phrase_at = 0
        self._told = ""
        self._started = False

    @property
    def heard_windows(self) -> int:
        return len(self._windows)

    def hear(self, pcm: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
        self._rest += pcm
        whole = len(self._rest) // _WINDOW_BYTES * _WINDOW_BYTES
        for at in range(0, whole, _WINDOW_BYTES):
            self._windows.append(_height(bytes(self._rest[at : at + _WINDOW_BYTES])))
            yield from self._notice()
        del self._rest[:whole]

    def _notice(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        words = self._words()
        if words and not self._started:
            self._started = True
            yield "speech.startDetected", {"Offset": words[0][1] * _TICKS_PER_WINDOW}
        text = " ".join(word for word, _, _ in words)
        if text and text != self._told:
            self._told = text
            yield "speech.hypothesis", {"Id": "1", "Text": text, **self._span(words)}
        if words and len(self._windows) - words[-1][2] >= _PHRASE_ENDS_AFTER_WINDOWS:
            yield self._phrase()

    def finish(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if self._words():
            yield self._phrase()
        end = len(self._windows) * _TICKS_PER_WINDOW + len(self._rest) * _TICKS_PER_S // _HEARING_HZ // 2
        if self._started:
            yield "speech.endDetected", {"Offset": end}
            status = {"RecognitionStatus": "EndOfDictation", "Offset": end, "Duration": 0}
        else:
            status = {"RecognitionStatus": "InitialSilenceTimeout", "Offset": 0, "Duration": end}
        yield "speech.phrase", {"Id": "1", **status}

    def _phrase(self) -> tuple[str, Mapping[str, Any]]:
        words = self._words()
        text = " ".join(word for word, _, _ in words)
        self._phrase_at = len(self._windows)
        self._told = ""
        span = self._span(words)
        best = {"Confidence": 0.9, "Lexical": text, "ITN": text, "MaskedITN": text, "Display": f"{text}."}
        message = {"Id": "1", "RecognitionStatus": "Success", "DisplayText": f"{text}.", **span}
        return "speech.phrase", {**message, **self._language, "NBest": [best]}

    def _words(self) -> list[tuple[str, int, int]]:
        """The words of the phrase with their first and last windows."""
        found, at = [], self._phrase_at
        for height, group in groupby(self._windows[self._phrase_at :]):
            length = len(list(group))
            if 0 < height <= len(WORDS) and length >= _SHORTEST_WINDOWS:
                found.append((WORDS[height - 1], at, at + length))
            at += length
        return found

    @staticmethod
    def _span(words: list[tuple[str, int, int]]) -> Mapping[str, int]:
        begin, end = words[0][1], words[-1][2]
        return {"Offset": begin * _TICKS_PER_WINDOW, "Duration": (end - begin) * _TICKS_PER_WINDOW}


def _height(window: bytes) -> int:
    """The number of a word, from 1; 0 is silence, -1 noise."""
    if window.count(0) == len(window):
        return 0
    heights = {abs(sample) for sample in array("h", window)}
    return heights.pop() // _STEP if len(heights) == 1 else -1


@dataclass(frozen=True, slots=True)
class _Speech:
    """What an SSML document asks for."""

    text: str
    rate: float
    rate_hz: int

    @classmethod
    def read(cls, ssml: str, audio_format: str) -> _Speech:
        document = ET.fromstring(ssml)
        prosody = next((node for node in document.iter() if node.tag.endswith("prosody")), None)
        rate = float(prosody.get("rate", "1")) if prosody is not None else 1.0
        found = re.fullmatch(r"raw-(\d+)khz-16bit-mono-pcm", audio_format)
        assert found, f"This format is not understood: {audio_format!r}"
        return cls("".join(document.itertext()), rate, int(found[1]) * 1000)

    def chunks(self) -> Iterator[bytes]:
        samples = round(len(self.text) * CHARACTER_S / self.rate * self.rate_hz)
        wave = [round(8_000 * math.sin(at * math.tau / 50)) for at in range(50)]
        sound = array("h", (wave * (samples // 50 + 1))[:samples]).tobytes()
        size = int(self.rate_hz * _CHUNK_S) * 2
        return (sound[at : at + size] for at in range(0, len(sound), size))

    def marks(self, from_s: float, until_s: float) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for word in re.finditer(r"\w+|[^\w\s]", self.text):
            at_s = word.start() * CHARACTER_S / self.rate
            if from_s <= at_s < until_s:
                kind = "WordBoundary" if word.group()[0].isalnum() else "PunctuationBoundary"
                text = {"Text": word.group(), "Length": len(word.group()), "BoundaryType": kind}
                data = {"Offset": round(at_s * _TICKS_PER_S), "Duration": 1_000_000, "text": text}
                found.append({"Type": "WordBoundary", "Data": data})
                data = {"Offset": data["Offset"], "VisemeId": len(word.group()) % 22}
                found.append({"Type": "Viseme", "Data": data})
        return found
