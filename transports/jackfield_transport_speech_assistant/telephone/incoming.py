"""What a telephone's stream says, of which what is no frame is dropped."""

from __future__ import annotations

from typing import Final

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from jackfield.contracts.panel import Metric
from jackfield.errors import ProtocolError
from jackfield.sockets import NORMAL
from jackfield_transport_speech_assistant.telephone.frames import Frame, Other, Started, read_frame

MAX_BAD_FRAMES: Final = 50
"""So many in a row, and the call ends."""
_START_S: Final = 10.0


class Incoming:
    """Frames of one stream, in their order. Bad ones are counted in `bad_frames`."""

    def __init__(self, websocket: WebSocket, bad_frames: Metric) -> None:
        self._websocket = websocket
        self._bad_frames = bad_frames
        self._bad_in_a_row = 0

    async def started(self) -> Started:
        """Wait for the beginning of the stream.

        :raises ProtocolError: when something else comes, or nothing in time, and as `next`.
        :raises WebSocketDisconnect: when it is over.
        """
        with anyio.move_on_after(_START_S):
            while True:
                frame = await self.next()
                if isinstance(frame, Started):
                    return frame
                if not isinstance(frame, Other):
                    raise violation("start has to come before anything else.")
        raise violation("No start came in time.")

    async def next(self) -> Frame:
        """Wait for a good frame.

        :raises ProtocolError: 422 `invalid_frame` after too many bad ones.
        :raises WebSocketDisconnect: when the stream is over.
        """
        while True:
            text = await self._receive()
            try:
                frame = read_frame(text)
            except ProtocolError:
                self._bad_frames.inc()
                self._bad_in_a_row += 1
                if self._bad_in_a_row >= MAX_BAD_FRAMES:
                    raise
            else:
                self._bad_in_a_row = 0
                return frame

    async def _receive(self) -> str | None:
        """Give the text of a message, None for one of bytes."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        text: str | None = message.get("text")
        return text


def violation(detail: str) -> ProtocolError:
    """Say that a stream broke the protocol, which ends it."""
    return ProtocolError(400, "protocol_violation", detail)
