"""Callers at three doors of one server, with the same voices: a WebSocket, WebRTC, and Twilio's frames."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from typing import ClassVar, Final
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

import anyio
import httpx

from bench.browser_line import BrowserLine
from bench.call_floor import Silero
from bench.call_load import Caller, Load, Script, Speaker, binary, text
from bench.call_speech import FRAME_BYTES, RATE_HZ, room_noise, speech
from jackfield.audio.mulaw import RATE_HZ as TELEPHONE_HZ, encode_mulaw
from jackfield.audio.opus import OpusEncoder
from jackfield.audio.resample import resample
from jackfield.models import locate

MOUNT: Final = "/assistant"
_FRAMES_PER_S: Final = 50
_VOICES: Final = 8
_PAUSE_S: Final = 0.5
"""After so much silence, sound is another answer's."""
_AT_ONCE: Final = 10
_USERS_CALLS: Final = 90
"""Callers of one address are one user, who may have a hundred calls."""
_STREAM: Final = "MZ1"
_TELEPHONE_BYTES: Final = TELEPHONE_HZ // _FRAMES_PER_S
_MARK: Final = b'"mark"'
_MEDIA: Final = b'"payload":"'


def spoken(period_s: float) -> list[tuple[bytes, int]]:
    """Give voices that speak at the beginning of each period, PCM at 16000 Hz, and the frame that ends it."""
    voices = []
    for sound in speech(Silero(str(locate("silero-vad"))), _VOICES):
        frames = len(sound) // FRAME_BYTES
        quiet = room_noise(round(period_s * _FRAMES_PER_S) - frames)
        voices.append((sound + b"".join(quiet), frames - 1))
    return voices


class DoorLoad(Load):
    """Callers at one door."""

    name: ClassVar[str]

    def scripts(self, voices: Sequence[tuple[bytes, int]]) -> Sequence[Script]:
        """Give what callers do with these voices."""
        raise NotImplementedError

    async def call(self, calls: int, scripts: Sequence[Script]) -> None:
        """Begin more calls."""
        raise NotImplementedError

    async def hang_up(self) -> None:
        """End all calls."""
        self.close()


class VoiceSocketLoad(DoorLoad):
    """Callers of the voice socket."""

    name = "voice socket"

    def scripts(self, voices: Sequence[tuple[bytes, int]]) -> Sequence[Script]:
        start = text({"type": "start", "turns": "auto"})
        return [Script(start, [binary(frame) for frame in _cut(pcm)], end) for pcm, end in voices]

    async def call(self, calls: int, scripts: Sequence[Script]) -> None:
        self.open(calls, scripts)


class _Telephone(Caller):
    """A telephone: it plays what comes, and says when it has."""

    def __init__(self, port: int, script: Script, at: int, load: Load, where: str) -> None:
        self._silent_at_s = 0.0
        super().__init__(port, script, at, load, path=where, started=b"")

    def told(self, payload: bytes, now_s: float) -> None:
        at = payload.find(_MEDIA)
        if at >= 0:
            played_s = (len(payload) - at - len(_MEDIA)) * 3 / 4 / TELEPHONE_HZ
            if self.interrupted and now_s > self._silent_at_s + _PAUSE_S:
                self._load.heard.uncalled += 1
            self._silent_at_s = max(self._silent_at_s, now_s) + played_s
            self.heard(now_s)
        elif _MARK in payload:
            self._load.heard.other_messages += 1
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, self._silent_at_s - now_s), self._give_back, json.loads(payload))

    def _give_back(self, mark: object) -> None:
        if self.socket.fileno() >= 0:
            self.send(text(mark))


class TelephoneLoad(DoorLoad):
    """Telephones by way of Twilio."""

    name = "Twilio's frames"

    def scripts(self, voices: Sequence[tuple[bytes, int]]) -> Sequence[Script]:
        return [Script(b"", [_media(frame) for frame in _cut_mulaw(pcm)], end) for pcm, end in voices]

    async def call(self, calls: int, scripts: Sequence[Script]) -> None:
        for _ in range(calls):
            where, token = await anyio.to_thread.run_sync(self._announce)
            script = scripts[self.callers % len(scripts)]
            begun = Script(_start(token), script.steps, script.end_at)
            self.add(_Telephone(self.port, begun, self.anywhere(script), self, where))

    def _announce(self) -> tuple[str, str]:
        """Ask the webhook; gives the path of the stream, and its token."""
        form = urlencode({"CallSid": "CA1", "From": "+14158675309"}).encode()
        address = f"http://127.0.0.1:{self.port}{MOUNT}/incoming-call/default"
        with urllib.request.urlopen(address, form) as answer:
            (stream,) = ET.fromstring(answer.read())[0]
        return urlsplit(stream.attrib["url"]).path, stream[0].attrib["value"]


class _Browser(Speaker):
    """A browser; `dial` before it speaks."""

    def __init__(self, script: Script, at: int, load: Load) -> None:
        super().__init__(script, at, load)
        self._last_s = 0.0
        self._closed = False
        self.line = BrowserLine(self._sound)

    def _sound(self) -> None:
        now_s = time.perf_counter()
        if self.interrupted and now_s > self._last_s + _PAUSE_S:
            self._load.heard.uncalled += 1
        self._last_s = now_s
        self.heard(now_s)

    def send(self, data: bytes) -> None:
        self.line.send(data)

    def close(self) -> None:
        """The connection is closed by whoever can wait for it."""

    def step(self) -> None:
        if self.line.over.is_set():
            self.lose()
        else:
            super().step()


class BrowserLoad(DoorLoad):
    """Browsers over WebRTC, without a data channel."""

    name = "WebRTC"

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._browsers: list[_Browser] = []

    def scripts(self, voices: Sequence[tuple[bytes, int]]) -> Sequence[Script]:
        return [Script(b"", OpusEncoder(RATE_HZ).encode(pcm), end) for pcm, end in voices]

    async def call(self, calls: int, scripts: Sequence[Script]) -> None:
        while calls > 0:
            browsers = []
            for number in range(min(calls, _AT_ONCE)):
                script = scripts[(self.callers + number) % len(scripts)]
                browsers.append(_Browser(script, self.anywhere(script), self))
            address = f"127.0.0.{1 + len(self._browsers) // _USERS_CALLS}"
            transport = httpx.AsyncHTTPTransport(local_address=address)
            async with (
                httpx.AsyncClient(transport=transport, timeout=30) as client,
                anyio.create_task_group() as tasks,
            ):
                for browser in browsers:
                    tasks.start_soon(browser.line.dial, client, f"http://127.0.0.1:{self.port}{MOUNT}")
            for browser in browsers:
                self.add(browser)
            self._browsers += browsers
            calls -= len(browsers)

    async def hang_up(self) -> None:
        self.close()
        async with anyio.create_task_group() as tasks:
            for browser in self._browsers:
                tasks.start_soon(browser.line.hang_up)
        self._browsers.clear()


def _start(token: str) -> bytes:
    """A stream's first messages."""
    sound = {"encoding": "audio/x-mulaw", "sampleRate": TELEPHONE_HZ, "channels": 1}
    start = {
        "streamSid": _STREAM,
        "callSid": "CA1",
        "mediaFormat": sound,
        "customParameters": {"token": token},
    }
    begin = {"event": "start", "sequenceNumber": "1", "streamSid": _STREAM, "start": start}
    return text({"event": "connected", "protocol": "Call", "version": "1.0.0"}) + text(begin)


def _media(mulaw: bytes) -> bytes:
    media = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": b64encode(mulaw).decode()}
    return text({"event": "media", "sequenceNumber": "2", "streamSid": _STREAM, "media": media})


def _cut(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]


def _cut_mulaw(pcm: bytes) -> list[bytes]:
    mulaw = encode_mulaw(resample(pcm, RATE_HZ, TELEPHONE_HZ))
    return [mulaw[at : at + _TELEPHONE_BYTES] for at in range(0, len(mulaw), _TELEPHONE_BYTES)]
