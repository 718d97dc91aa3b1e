"""WebSockets of clients that break the protocol: they are closed, and nothing else happens.

Left to itself uvicorn writes a traceback into the log when a text is no UTF-8 or a frame comes too early,
leaves a handshake that is too large without an answer and the connection open, and takes an application that
has not heard yet that the client was closed for one that is broken.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

_NO_TEXT: Final = 1007
_BROKEN_OFF: Final = 1006


class StrictWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with an end for every client."""

    def data_received(self, data: bytes) -> None:
        """Take what the client sends, and answer a handshake that cannot be taken."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Give a whole message to the application; a text that is none closes the socket with 1007."""
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        else:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self._refuse_text()
                return
            self.queue.put_nowait({"type": "websocket.receive", "text": text})
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_parser_exception(self) -> None:
        """End the socket of a client that broke a rule."""
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
            return
        # Before the handshake is answered there is no way to say why, and nobody is left to answer it to.
        self.queue.put_nowait({"type": "websocket.disconnect", "code": _BROKEN_OFF, "reason": ""})
        self.close_sent = self.handshake_complete = True
        self.transport.close()

    def send(self, message: ASGISendEvent) -> Coroutine[Any, Any, None]:
        """Send what the application says.

        :raises OSError: when the socket was closed, which the application may not have heard yet.
        """
        if self.close_sent and self.handshake_complete:
            raise ClientDisconnected
        return super().send(message) if self.initial_response is None else self._refuse(message)

    async def _refuse(self, message: ASGISendEvent) -> None:
        """Go on with an answer that refuses the handshake, and note its end, which uvicorn would miss."""
        await super().send(message)
        self.handshake_complete = self.close_sent

    def _refuse_text(self) -> None:
        if self.conn.state is State.OPEN:  # else the client's own farewell has come behind it
            self.conn.fail(_NO_TEXT)
            self.handle_parser_exception()
