"""A browser's end of a WebRTC connection: a microphone that plays what it is given, and ears that keep it."""

from __future__ import annotations

import array
import asyncio
import json
import math
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, Self

import anyio
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from anyio.abc import TaskGroup
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

RATE_HZ: Final = 48_000
_FRAME: Final = 960


def tone(hz: float, seconds: float, *, rate_hz: int = RATE_HZ) -> bytes:
    """A sine, signed 16-bit little-endian, mono."""
    step = 2 * math.pi * hz / rate_hz
    return array.array(
        "h", (int(9000 * math.sin(step * n)) for n in range(round(seconds * rate_hz)))
    ).tobytes()


def pitch_hz(pcm: bytes, rate_hz: int = RATE_HZ) -> float:
    """How high a tone is, from how often it rises through nothing."""
    samples = array.array("h", pcm)
    rises = sum(a < 0 <= b for a, b in pairwise(samples))
    return rises * rate_hz / max(len(samples), 1)


class _Microphone(MediaStreamTrack):
    kind = "audio"

    def __init__(self, pcm: bytes) -> None:
        super().__init__()
        self._pcm = pcm
        self._sent = 0
        self._began_s = 0.0

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._began_s = self._began_s or loop.time()
        await anyio.sleep(max(0.0, self._began_s + self._sent / RATE_HZ - loop.time()))
        frame = AudioFrame(format="s16", layout="mono", samples=_FRAME)
        piece = self._pcm[self._sent * 2 : (self._sent + _FRAME) * 2]
        frame.planes[0].update(piece.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._sent, Fraction(1, RATE_HZ)
        self._sent += _FRAME
        return frame


class Browser:
    """A context manager. Without `microphone` it only receives; `channel` opens a data channel."""

    def __init__(
        self,
        microphone: bytes | None = None,
        *,
        channel: bool = False,
        video: bool = False,
        ice_servers: list[dict[str, Any]] | None = None,
    ) -> None:
        servers = [RTCIceServer(**server) for server in ice_servers or []]
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self.heard = bytearray()
        """What was played, at `RATE_HZ`, mono."""
        self.events: list[dict[str, Any]] = []
        self._tasks: TaskGroup | None = None
        self._happened = anyio.Event()
        self.channel: RTCDataChannel | None = None
        if microphone is None:
            self.connection.addTransceiver("audio", direction="recvonly")
        else:
            self.connection.addTrack(_Microphone(microphone))
        if video:
            self.connection.addTransceiver("video", direction="sendrecv")
        if channel:
            self.channel = self.connection.createDataChannel("events")
            self.channel.on("message", self._note)
            self.channel.on("open", self._wake)
        self.connection.on("track", self._listen_to)
        self.connection.on("connectionstatechange", self._wake)

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        await self.hang_up()
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(*failure)

    async def offer(self, *, candidates: bool = True) -> str:
        """The offer; without candidates it is as a page posts it before they are gathered."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        lines = str(self.connection.localDescription.sdp).splitlines(keepends=True)
        told = ("a=candidate:", "a=end-of-candidates")
        return "".join(line for line in lines if candidates or not line.startswith(told))

    async def accept(self, answer: str) -> None:
        """Take the answer, and connect."""
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for something that the other side brings about."""
        while not true():
            self._happened = anyio.Event()
            await self._happened.wait()

    async def connected(self) -> None:
        """Wait until the connection is there."""
        await self.until(lambda: self.connection.connectionState == "connected")

    async def until_loud(self, seconds: float) -> bytes:
        """Wait for so many seconds of sound that is no silence; gives them."""
        loud: list[bytes] = []

        def enough() -> bool:
            loud[:] = [bytes(self.heard[at : at + 1920]) for at in range(0, len(self.heard), 1920)]
            loud[:] = [piece for piece in loud if max(array.array("h", piece), default=0) > 1000]
            return sum(map(len, loud)) >= seconds * RATE_HZ * 2

        await self.until(enough)
        return b"".join(loud)

    async def event(self, name: str) -> dict[str, Any]:
        """Wait for an event of this type."""
        await self.until(lambda: name in [event["type"] for event in self.events])
        return next(event for event in self.events if event["type"] == name)

    async def say(self, name: str, /, **fields: object) -> None:
        """Send a command."""
        channel = self.channel
        assert channel is not None
        await self.until(lambda: channel.readyState == "open")
        channel.send(json.dumps({"type": name, **fields}))

    async def hang_up(self) -> None:
        """Close the connection. May be called twice."""
        await self.connection.close()

    def _listen_to(self, track: MediaStreamTrack) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(self._listen, track)

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler("s16", "mono", RATE_HZ)
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                for piece in resampler.resample(frame):
                    self.heard += bytes(piece.planes[0])[: piece.samples * 2]
                self._wake()

    def _note(self, message: str) -> None:
        self.events.append(json.loads(message))
        self._wake()

    def _wake(self) -> None:
        self._happened.set()
