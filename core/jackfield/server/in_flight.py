"""Every request that is being answered, so that those can be ended that should be.

A request ends early when its client left, when it took too long, when its body is too large, and when
the server stops. One task looks at all of them ten times a second: a request that is answered at once
costs neither a task nor a timer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from starlette.types import Message, Receive, Send

from jackfield.errors import ProtocolError
from jackfield.server.exchange import Exchange

TICK_S: Final = 0.1
_FAREWELL_S: Final = 2.0
"""How long a client that does not read may hold up its farewell."""
TOO_LARGE: Final = ProtocolError(413, "body_too_large", "The request is too large.")
TOO_SLOW: Final = ProtocolError(504, "request_timeout", "The request took too long.")
STOPPING: Final = ProtocolError(503, "server_stopping", "The server is stopping; try again later.")


class Call:
    """An HTTP request. `receive` and `send` stand between the application and the server."""

    __slots__ = (
        "_body_bytes",
        "_held",
        "_max_body_bytes",
        "_receive",
        "_send",
        "began_s",
        "body_read",
        "cancel_scope",
        "complete",
        "gone",
        "refusal",
        "started",
        "watched",
    )

    def __init__(
        self, receive: Receive, send: Send, *, max_body_bytes: int, has_body: bool, now_s: float
    ) -> None:
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        self._body_bytes = 0
        self._held: Message | None = None
        self.began_s = now_s
        self.body_read = not has_body
        self.cancel_scope = anyio.CancelScope()
        self.started = False
        self.complete = False
        self.gone = False
        self.refusal: ProtocolError | None = None
        self.watched = False

    async def receive(self) -> Message:
        """Give the next part of the body, or the client's leaving."""
        message, self._held = self._held, None
        if message is None:
            message = await self._receive()
        if message["type"] == "http.request":
            self._body_bytes += len(message.get("body", b""))
            if self._body_bytes > self._max_body_bytes:
                self.stop(TOO_LARGE)
                # Raised as a cancellation, which no parser of bodies takes for a malformed body.
                await anyio.lowlevel.checkpoint()
            self.body_read = not message.get("more_body", False)
        elif not self.complete:
            self.gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.started = True
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True
        return self._send(message)

    async def discard_body(self) -> None:
        """Read what is left of the body and forget it."""
        while True:
            message = await self._receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return

    async def watch(self) -> None:
        """Wait for the client to leave, then end the request. Ends with the answer at the latest."""
        while not self.complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                if not self.complete:
                    self.gone = True
                    self.cancel_scope.cancel()
                return
            self._held = message  # the empty body of a request without one; the application may want it

    def stop(self, refusal: ProtocolError) -> None:
        """End the request with this answer, unless it was answered already."""
        if self.refusal is None and not self.complete:
            self.refusal = refusal
            self.cancel_scope.cancel()


class Socket:
    """A WebSocket connection. `exchange` is told how its request is answered."""

    __slots__ = ("_exchange", "_send", "accepted", "cancel_scope", "closed")

    def __init__(self, send: Send, exchange: Exchange | None = None) -> None:
        self._send = send
        self._exchange = exchange
        self.cancel_scope = anyio.CancelScope()
        self.accepted = False
        self.closed = False

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on.

        :raises OSError: when the server has closed the socket; the application sees a disconnect.
        """
        if message["type"] != "websocket.send":
            return self._answer(message)
        if self.closed:
            raise OSError("the WebSocket is closed")
        return self._send(message)

    async def _answer(self, message: Message) -> None:
        """Pass on what is no message to the client: how its request is answered, or a farewell."""
        kind = message["type"]
        if self.closed:
            if kind == "websocket.close":
                return
            raise OSError("the WebSocket is closed")
        if kind == "websocket.accept":
            self.accepted = True
        elif kind == "websocket.close":
            self.closed = True
        if self._exchange is not None:
            self._exchange.answered(message)
        await self._send(message)

    async def close(self, code: int) -> None:
        """Say goodbye; the application then reads a disconnect and may finish what it is doing.

        A client that has gone, or does not read, is not waited for.
        """
        if self.accepted and not self.closed:
            self.closed = True
            with suppress(OSError), anyio.move_on_after(_FAREWELL_S):
                await self._send({"type": "websocket.close", "code": code})


class InFlight:
    """All requests and WebSockets of a server."""

    def __init__(self, request_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.calls: set[Call] = set()
        self.sockets: set[Socket] = set()
        self.farewell: Callable[[], Awaitable[None]] | None = None
        """What is done before the WebSockets are closed."""
        self.draining = False
        """Whether the server was asked to stop: it still serves, but wants to be sent nothing more."""
        self._request_s = request_s
        self._clock = clock

    async def run(self) -> None:
        """Look after the requests until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.sleep(TICK_S)
                self._look(tasks)

    def _look(self, tasks: TaskGroup) -> None:
        now_s = self._clock()
        for call in self.calls:
            age_s = now_s - call.began_s
            if age_s > self._request_s:
                call.stop(TOO_SLOW)
            elif call.body_read and not call.watched and age_s > TICK_S:
                call.watched = True
                tasks.start_soon(call.watch)

    async def close_sockets(self) -> None:
        """Tell every WebSocket client that the server stops."""
        if self.farewell is not None:
            with anyio.move_on_after(_FAREWELL_S):
                await self.farewell()
        async with anyio.create_task_group() as tasks:
            for socket in list(self.sockets):
                tasks.start_soon(socket.close, 1001)

    def stop(self) -> None:
        """End whatever still runs."""
        for call in list(self.calls):
            call.stop(STOPPING)
        for socket in self.sockets:
            socket.cancel_scope.cancel()
