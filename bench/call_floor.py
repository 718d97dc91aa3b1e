"""The floor: what a call costs when it is written by hand, with nothing else.

It does what the voice socket does with an echo, a scripted recogniser and a tone: the same sound comes in,
is kept and judged, the same messages and the same sound go out, a little ahead of the listener.

    python -m bench.call_floor PORT [SILERO_ONNX_FILE]
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from array import array
from collections import deque
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.call_pauses import Pauses

HEARD: Final = "Yes, I can hear you quite well, and this is what I have to say about it."
"""What every recogniser here hears."""
SHORT_MS: Final = 10.0
"""Length of a character of the voice `short`."""
LONG_MS: Final = 60.0
RATE_HZ: Final = 24_000
PIECE_S: Final = 0.1
LEAD_S: Final = 0.4
SILENT_WINDOWS: Final = 6
"""192 ms: the whole number of windows that is next to 200 ms."""
_PIECE_BYTES: Final = int(RATE_HZ * PIECE_S) * 2
_WINDOW_BYTES: Final = 1024
_TONE: Final = array(
    "h", (round(9830 * math.sin(math.tau * 440 * at / RATE_HZ)) for at in range(2 * RATE_HZ))
).tobytes()


class Silero:
    """Judges windows of all calls, one after the other, with one session."""

    def __init__(self, file: str) -> None:
        import numpy as np
        from onnxruntime import InferenceSession, SessionOptions  # type: ignore[import-untyped]  # has none

        self._np = np
        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._rate = np.array(16_000, np.int64)

    def memory(self) -> list[Any]:
        """What a speaker begins with."""
        return [self._np.zeros((2, 1, 128), self._np.float32), self._np.zeros((1, 64), self._np.float32)]

    def probability(self, memory: list[Any], window: bytes) -> float:
        """Whether somebody speaks in a window; brings the memory up to date."""
        np = self._np
        sound = np.frombuffer(window, np.int16).astype(np.float32)[None] / 32_768
        heard = np.concatenate([memory[1], sound], axis=1)
        given = {"input": heard, "state": memory[0], "sr": self._rate}
        output, memory[0] = self._session.run(None, given)
        memory[1] = heard[:, -64:]
        return float(output[0, 0])


class Speaking:
    """When a user speaks and stops."""

    def __init__(self, silero: Silero) -> None:
        self._silero = silero
        self._memory = silero.memory()
        self._rest = bytearray()
        self._voiced = self._silent = 0
        self.speaks = False

    def stopped(self, pcm: bytes) -> bool:
        """Take sound; whether the user has stopped speaking."""
        rest = self._rest
        rest += pcm
        stopped = False
        while len(rest) >= _WINDOW_BYTES:
            window = bytes(rest[:_WINDOW_BYTES])
            del rest[:_WINDOW_BYTES]
            stopped = self._judged(self._silero.probability(self._memory, window)) or stopped
        return stopped

    def _judged(self, probability: float) -> bool:
        if probability >= (0.35 if self._silent == 0 else 0.5):
            self._voiced, self._silent = self._voiced + 1, 0
            self.speaks = self.speaks or self._voiced >= 2
            return False
        self._silent += 1
        if not self.speaks or self._silent < SILENT_WINDOWS:
            return False
        self.speaks, self._voiced = False, 0
        return True


class Call:
    """One call."""

    def __init__(self, socket: WebSocket, silero: Silero | None, character_ms: float) -> None:
        self._socket = socket
        self._speaking = Speaking(silero) if silero else None
        self._character_ms = character_ms
        self._sound: list[bytes] = []
        self._heard = False
        self._items = 0
        self._history: deque[str] = deque(maxlen=10)
        self._answer: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Take messages until the client leaves."""
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                pcm = message.get("bytes")
                if pcm is not None:
                    await self._hear(pcm)
                elif json.loads(message["text"])["type"] == "speech.end":
                    await self._reply()
        finally:
            if self._answer is not None:
                self._answer.cancel()

    async def _hear(self, pcm: bytes) -> None:
        self._heard = self._heard or pcm.count(0) != len(pcm)
        self._sound.append(pcm)
        if self._speaking is None:
            return
        spoke = self._speaking.speaks
        if self._speaking.stopped(pcm):
            await self._tell({"type": "speech.stopped"})
            await self._reply()
        elif self._speaking.speaks:
            if not spoke:
                await self._tell({"type": "speech.started"})
        else:
            del self._sound[:-15]

    async def _tell(self, message: dict[str, object]) -> None:
        await self._socket.send_text(json.dumps(message, separators=(",", ":")))

    async def _reply(self) -> None:
        text = HEARD if self._heard else ""
        self._sound.clear()
        self._items += 1
        item = self._items
        await self._tell({"type": "transcript", "text": text, "final": True})
        await self._tell({"type": "reply.started", "item": item})
        await self._tell({"type": "reply.text", "item": item, "text": text})
        first = self._pcm(text, 0)
        await self._socket.send_bytes(first)
        if self._answer is not None:
            self._answer.cancel()
        speaking = self._speak(item, text, len(first))
        self._answer = asyncio.create_task(speaking)  # noqa: TID251  # the floor is what anybody writes

    def _pcm(self, text: str, start: int) -> bytes:
        size = round(len(text) * self._character_ms * RATE_HZ / 1000) * 2
        begin = start % (RATE_HZ * 2)
        return _TONE[begin : begin + min(_PIECE_BYTES, size - start)]

    async def _speak(self, item: int, text: str, sent: int) -> None:
        """Send the other pieces, a little ahead of the listener."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while pcm := self._pcm(text, sent):
            ahead_s = sent / (RATE_HZ * 2) - (loop.time() - began_s)
            if ahead_s > LEAD_S - PIECE_S:
                await asyncio.sleep(ahead_s - LEAD_S + PIECE_S)
            await self._socket.send_bytes(pcm)
            sent += len(pcm)
        await self._tell({"type": "audio.end", "item": item})
        await asyncio.sleep(sent / (RATE_HZ * 2) - (loop.time() - began_s))
        self._history += [text, text]
        await self._tell({"type": "reply.finished", "item": item, "text": text, "outcome": "ok"})


def application(silero: Silero | None) -> Starlette:
    """The server."""
    pauses = Pauses()

    async def voice(socket: WebSocket) -> None:
        await socket.accept()
        try:
            start = json.loads(await socket.receive_text())
            await socket.send_text('{"type":"started"}')
            explicit = start.get("turns") == "explicit"
            short = start.get("tts") == "short"
            await Call(socket, None if explicit else silero, SHORT_MS if short else LONG_MS).run()
        except WebSocketDisconnect:
            return

    async def told(_request: Request) -> JSONResponse:
        return JSONResponse(pauses.told())

    return Starlette(routes=[WebSocketRoute("/voice", voice), Route("/pauses", told)])


if __name__ == "__main__":
    uvicorn.run(
        application(Silero(sys.argv[2]) if len(sys.argv) > 2 else None),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        ws="websockets-sansio",  # the same implementation as the other side
        ws_per_message_deflate=False,
    )
