"""HTTP connections with an end for every request, and for every client that takes its time.

Left to itself uvicorn tells only the newest request of a connection that the client is gone: the one that is
being answered goes on, fails when it writes, and whoever watches over it waits for ever. And it waits as long
as a client likes for the head of a request.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_S: Final = 20.0
"""How long a client may take from connecting, or from the first byte of a request, to the end of its head."""
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class StrictHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._open: list[RequestResponseCycle] = []
        self._head_timer: asyncio.TimerHandle | None = None
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """Begin with a connection."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        super().data_received(data)
        if not self._open and not self._upgraded and self._head_timer is None:
            self._await_head()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the WebSocket."""
        self._upgraded = True
        super().handle_websocket_upgrade()

    def on_headers_complete(self) -> None:
        """Begin with a request, or have it wait for those before it."""
        self._head_came()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not None and self.cycle is not before:
            self._open.append(self.cycle)

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self._open = [cycle for cycle in self._open if not cycle.response_complete]
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; an answer that has begun before it is broken off."""
        begun = any(cycle.response_started for cycle in self._open)
        self._forsake()
        if begun:
            self.transport.close()
        else:
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request of the connection that nobody waits for its answer."""
        self._head_came()
        self._forsake()
        super().connection_lost(exc)

    def _forsake(self) -> None:
        for cycle in self._open:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._open.clear()
        self.pipeline.clear()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._open and not self.transport.is_closing():
            self.transport.write(_TOO_SLOW)
            self.transport.close()
