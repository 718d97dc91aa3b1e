"""A caller: a microphone that never rests, questions into it, and what came back at which time."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter
from typing import Any, Final

import anyio
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from bench.neighbours import Neighbours
from bench.recordings import RATE_HZ, Recording, frames, room_noise

FRAME_S: Final = 0.02
_FRAME_BYTES: Final = int(RATE_HZ * FRAME_S) * 2
_AUDIBLE: Final = 200
"""Size of a sample from which on an answer can be heard (-44 dB)."""
_ANSWER_S: Final = 60.0


@dataclass(slots=True)
class Heard:
    """What the caller noticed of one answer; all times are those of `perf_counter`."""

    speech_end_s: float
    stopped_s: float = 0.0
    """`speech.stopped`."""
    guessed_s: float = 0.0
    """The last transcript that was not final."""
    first_audio_s: float = 0.0
    first_audible_s: float = 0.0
    cut: bool = False
    """Whether the server took the turn for ended before the question was."""
    transcript: str = ""
    text: str = ""
    outcome: str = ""
    neighbours: float = 0.0
    """What others took of the processors from the end of the question to the first sound, 0 to 1."""
    stages: Mapping[str, float] = field(default_factory=dict)
    sound: bytearray = field(default_factory=bytearray)
    """The answer, PCM at 24000 Hz."""


class Caller:
    """One call. Use `call` to begin it; ask one question at a time."""

    def __init__(self, socket: ClientConnection, neighbours: Neighbours) -> None:
        self._socket = socket
        self._neighbours = neighbours
        self._asked = neighbours.moment()
        self._waiting: deque[bytes] = deque()
        self._room = cycle(frames(room_noise(5), _FRAME_BYTES))
        self._next_frame_s = 0.0
        self._now: Heard | None = None
        self._finished = anyio.Event()
        self._enough_s: float | None = None
        self._last = ""
        self.round_trip_s = 0.0

    async def microphone(self) -> None:
        """Send a frame when its last sample would have been recorded, for ever."""
        self._next_frame_s = perf_counter() + FRAME_S
        while True:
            await anyio.sleep(max(0.0, self._next_frame_s - perf_counter()))
            await self._socket.send(self._waiting.popleft() if self._waiting else next(self._room))
            self._next_frame_s += FRAME_S

    async def listen(self) -> None:
        """Take what the server sends until it hangs up."""
        async for message in self._socket:
            now_s = perf_counter()
            if self._now is not None:
                if isinstance(message, bytes):
                    await self._sound(self._now, message, now_s)
                else:
                    self._event(self._now, json.loads(message), now_s)

    async def ask(self, question: Recording, *, enough_s: float | None = None) -> Heard:
        """Ask, and wait for the answer's end, or interrupt it after `enough_s` seconds of its sound."""
        self._finished = anyio.Event()
        self._enough_s = enough_s
        # Nothing is waiting, so the question begins with the next frame: that was recorded before it is sent.
        began_s = self._next_frame_s - FRAME_S
        self._now = heard = Heard(began_s + question.speech_end_s)
        self._waiting.extend(frames(question.pcm, _FRAME_BYTES))
        asyncio.get_running_loop().call_later(heard.speech_end_s - perf_counter(), self._look)
        with anyio.move_on_after(len(question.pcm) / 2 / RATE_HZ + _ANSWER_S):
            await self._finished.wait()
        if not self._finished.is_set():
            heard.outcome = f"no end; the last event was {self._last}"
            await self._socket.send(json.dumps({"type": "interrupt"}))
        self._now = None
        return heard

    def _look(self) -> None:
        self._asked = self._neighbours.moment()

    async def _sound(self, heard: Heard, pcm: bytes, now_s: float) -> None:
        heard.sound += pcm
        if not heard.first_audio_s:
            heard.first_audio_s = now_s
            heard.neighbours = self._neighbours.share(self._asked, self._neighbours.moment())
        if not heard.first_audible_s:
            loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > _AUDIBLE)
            if len(loud):
                before_s = (len(heard.sound) - len(pcm)) / 48_000 + int(loud[0]) / 24_000
                heard.first_audible_s = heard.first_audio_s + before_s
        if self._enough_s is not None and now_s - heard.first_audio_s >= self._enough_s:
            self._enough_s = None
            await self._socket.send(json.dumps({"type": "interrupt"}))

    def _event(self, heard: Heard, event: dict[str, Any], now_s: float) -> None:
        kind = self._last = event["type"]
        if kind == "speech.stopped":
            heard.stopped_s = now_s
            heard.cut = heard.cut or now_s < heard.speech_end_s
        elif kind == "transcript":
            heard.transcript = event["text"]
            if not event["final"]:
                heard.guessed_s = now_s
        elif kind == "reply.started":  # an answer before this one was dropped: the user went on
            heard.first_audio_s = heard.first_audible_s = 0.0
            heard.sound.clear()
        elif kind == "reply.finished" and now_s > heard.speech_end_s:
            heard.text, heard.outcome, heard.stages = event["text"], event["outcome"], event["stages"]
            self._finished.set()
        elif kind in ("error", "ended"):
            raise RuntimeError(f"The server says: {event}")

    async def measure_wire(self) -> None:
        """Note the time of a ping and its answer, the shortest of five."""
        times_s = []
        for _ in range(5):
            began_s = perf_counter()
            await (await self._socket.ping())
            times_s.append(perf_counter() - began_s)
        self.round_trip_s = min(times_s)


@asynccontextmanager
async def call(url: str, neighbours: Neighbours) -> AsyncIterator[Caller]:
    """Begin a call of a new conversation; `url` is that of the server. It ends with the block."""
    async with connect(url.replace("http", "ws", 1) + "/voice", compression=None) as socket:
        await socket.send(json.dumps({"type": "start", "greet": False}))
        started = json.loads(await socket.recv())
        if started["type"] != "started":
            raise RuntimeError(f"The server says: {started}")
        caller = Caller(socket, neighbours)
        await caller.measure_wire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller.microphone)
            tasks.start_soon(caller.listen)
            await anyio.sleep(0.6)  # somebody who connects has to draw breath
            yield caller
            tasks.cancel_scope.cancel()
