"""A browser's call with a model on this machine: its connection, and what is told of it to listeners."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Protocol

import anyio
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from anyio.abc import TaskGroup
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from tests.plugins.realtime.openai_realtime_server import RATE_HZ, RealtimeServer, Script, Talk
from tests.transports.browser import tone

LETTER_S: Final = 0.03
"""What the voice of these calls takes for a character."""
PITCH_HZ: Final = 700
_SENDING_HZ: Final = 48_000
_FRAME: Final = 960


@dataclass
class FarScript(Script):
    """What the server is to do with calls."""

    fails_for: int | None = None
    """How many answers have the error; None for all."""
    greets: bool = False
    """Whether something is said to every connection beside the call."""


class Listener(Protocol):
    """Whoever is told what is said in a call."""

    async def send(self, text: str) -> None: ...


class Voice(MediaStreamTrack):
    """What the model says: silence, or the tone for as long as it is told to."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._tone = tone(PITCH_HZ, 0.02)
        self._sent = 0
        self._began_s = 0.0
        self.sounds = False

    async def recv(self) -> AudioFrame:
        now_s = asyncio.get_running_loop().time()
        self._began_s = self._began_s or now_s
        await anyio.sleep(max(0.0, self._began_s + self._sent / _SENDING_HZ - now_s))
        frame = AudioFrame(format="s16", layout="mono", samples=_FRAME)
        size = frame.planes[0].buffer_size
        frame.planes[0].update(self._tone[:size].ljust(size, b"\0") if self.sounds else bytes(size))
        frame.sample_rate, frame.pts, frame.time_base = _SENDING_HZ, self._sent, Fraction(1, _SENDING_HZ)
        self._sent += _FRAME
        return frame


class FarTalk(Talk):
    """A call: what is said and heard goes by the connection, what is told of it to whoever listens."""

    def __init__(
        self, call: FarCall, server: RealtimeServer, tasks: TaskGroup, session: dict[str, Any]
    ) -> None:
        super().__init__(server, call, tasks)  # type: ignore[arg-type]  # it is asked to send, no more
        self._line = call
        self._session = session
        self._playing: anyio.CancelScope | None = None
        self._turn = anyio.Lock()

    async def take(self, event: dict[str, Any]) -> None:
        """Do what a client asks for."""
        self._server.received.append(event)
        handle = getattr(self, "_on_" + event["type"].replace(".", "_"), None)
        if handle is None:
            await self._complain("unknown_event", event)
        else:
            await handle(event)

    async def greet(self) -> None:
        """Say something."""
        await self._respond({"instructions": "\nHi"})

    async def hear(self, pcm: bytes) -> None:
        """Sound of the user."""
        self._line.heard_bytes += len(pcm)
        await self._on_input_audio_buffer_append({"audio": b64encode(pcm).decode()})

    async def _on_output_audio_buffer_clear(self, event: dict[str, Any]) -> None:
        self._silence()

    def _cancel(self) -> None:
        super()._cancel()
        self._silence()

    def _silence(self) -> None:
        if self._playing is not None:
            self._playing.cancel()

    async def _answer(self, *answer: Any) -> None:
        await super()._answer(*answer)
        script = self._server.script
        if isinstance(script, FarScript) and script.fails_for is not None:
            script.fails_for -= 1
            script.fails = script.fails if script.fails_for else None

    async def _speak(self, response: str, text: str) -> None:
        item: dict[str, Any] = {"id": self._name("item"), "type": "message", "role": "assistant"}
        where = {"response_id": response, "output_index": 0}
        part = {**where, "item_id": item["id"], "content_index": 0}
        await self._say("response.output_item.added", **where, item=item)
        for word in text.split(" "):
            delta = word if text.endswith(word) else f"{word} "
            await self._say("response.output_audio_transcript.delta", **part, delta=delta)
        await self._say("response.output_audio_transcript.done", **part, transcript=text)
        await self._say("response.output_item.done", **where, item=item | {"status": "completed"})
        self._tasks.start_soon(self._play, response, item["id"], len(text) * LETTER_S)

    async def _play(self, response: str, item: str, seconds: float) -> None:
        """Let an answer be heard, after the one before."""
        async with self._turn:
            began_s = anyio.current_time()
            with anyio.CancelScope() as scope:
                self._playing = scope
                await self._say("output_audio_buffer.started", response_id=response)
                self._has_spoken = self._line.voice.sounds = True
                await anyio.sleep(seconds)
            self._line.voice.sounds, self._playing = False, None
        if scope.cancelled_caught:
            await self._say("output_audio_buffer.cleared", response_id=response)
            heard = {"content_index": 0, "audio_end_ms": round(1000 * (anyio.current_time() - began_s))}
            await self._say("conversation.item.truncated", item_id=item, **heard)
        else:
            await self._say("output_audio_buffer.stopped", response_id=response)


class FarCall:
    """A browser's connection and those beside it."""

    def __init__(self, server: RealtimeServer, session: dict[str, Any]) -> None:
        self.session = session
        self.connection = RTCPeerConnection()
        self.voice = Voice()
        self.ended = anyio.Event()
        self.heard_bytes = 0
        self.listeners: set[Listener] = set()
        self.talk: FarTalk | None = None
        self._server = server
        self._microphone: MediaStreamTrack | None = None
        self.connection.on("track", self._take)
        self.connection.on("connectionstatechange", self._changed)

    async def answer(self, offer: str) -> str:
        await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self.connection.addTrack(self.voice)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return str(self.connection.localDescription.sdp)

    async def run(self) -> None:
        """Let both talk until one of them ends it."""
        try:
            async with anyio.create_task_group() as tasks:
                self.talk = FarTalk(self, self._server, tasks, self.session)
                tasks.start_soon(self._hear, self.talk)
                await self.ended.wait()
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self.connection.close()

    async def send(self, text: str) -> None:
        for listener in [*self.listeners]:
            await listener.send(text)

    async def _hear(self, talk: FarTalk) -> None:
        if self._microphone is None:
            return
        resampler = AudioResampler("s16", "mono", RATE_HZ)
        with suppress(MediaStreamError):
            while True:
                frame = await self._microphone.recv()
                assert isinstance(frame, AudioFrame)
                for piece in resampler.resample(frame):
                    await talk.hear(bytes(piece.planes[0])[: piece.samples * 2])

    def _take(self, track: MediaStreamTrack) -> None:
        self._microphone = track

    def _changed(self) -> None:
        if self.connection.connectionState in ("failed", "closed"):
            self.ended.set()
