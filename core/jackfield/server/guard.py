"""The layer round the routes: limits of size and time, clients that leave, and errors nobody foresaw."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Iterable
from typing import Final

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from jackfield.errors import ProtocolError
from jackfield.server.errors import error_response, plain_error
from jackfield.server.exchange import exchange_of
from jackfield.server.in_flight import TOO_LARGE, Call, InFlight, Socket
from jackfield.server.middleware import CLIENT_GONE

logger = logging.getLogger(__name__)

_LINGER_S: Final = 1.0
"""How long an unwanted body is still taken, so that the client gets to read why it is unwanted."""


class Guard:
    """Enforces what holds for every route. Pure ASGI; stands inside CORS, so that its errors have headers."""

    def __init__(self, app: ASGIApp, *, in_flight: InFlight, max_body_bytes: int) -> None:
        self._app = app
        self._in_flight = in_flight
        self._max_body_bytes = max_body_bytes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # No coroutine of its own: whatever a route waits for is waited for through every one of them.
        if scope["type"] == "http":
            return self._http(scope, receive, send)
        if scope["type"] == "websocket":
            return self._websocket(scope, receive, send)
        return self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body_bytes, waits = _body_of(scope["headers"])
        if self._in_flight.draining:
            send = _and_close(send)
        call = Call(
            receive,
            send,
            max_body_bytes=self._max_body_bytes,
            has_body=body_bytes != 0,
            now_s=time.monotonic(),
        )
        if body_bytes is not None and body_bytes > self._max_body_bytes:
            await _refuse(call, TOO_LARGE, scope, linger=not waits)
            return
        self._in_flight.calls.add(call)
        try:
            with call.cancel_scope:
                await self._app(scope, call.receive, call.send)
        except ClientDisconnect:
            call.gone = True
        except Exception as error:  # noqa: BLE001  # logged below; routes are somebody else's code
            _log(call, error)
            call.refusal = call.refusal or plain_error(500)
        finally:
            self._in_flight.calls.discard(call)
        if call.gone and not call.complete:
            _note_gone(scope)
        elif call.refusal is not None:
            await _refuse(call, call.refusal, scope, linger=not waits)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = Socket(send, exchange_of(scope))
        self._in_flight.sockets.add(socket)
        try:
            with socket.cancel_scope:
                await self._app(scope, receive, socket.send)
        except (WebSocketDisconnect, ClientDisconnect, ClientDisconnected):
            pass  # the ordinary end of a conversation, if not of one that had not begun
        except Exception as error:
            logger.error("a WebSocket handler failed", exc_info=error)
            refusal = plain_error(500)
            response = error_response(refusal, scope)
            if socket.accepted:
                await socket.close(1011)
            elif not socket.closed:
                await response(scope, receive, socket.send)
        finally:
            self._in_flight.sockets.discard(socket)
        if socket.cancel_scope.cancelled_caught:
            await socket.close(1001)


def _and_close(send: Send) -> Send:
    """Have the client open another connection for its next request, which another server then gets."""

    def send_last(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        return send(message)

    return send_last


def _body_of(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int | None, bool]:
    """Length of the body, None when it is not told, and whether the client waits for leave to send it."""
    length: int | None = 0
    waits = False
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"transfer-encoding":
            length = None
        elif name == b"expect":
            waits = True
    return length, waits


def _log(call: Call, error: Exception) -> None:
    if call.refusal is None and not call.gone:
        logger.error("a request failed", exc_info=error)


def _note_gone(scope: Scope) -> None:
    exchange = exchange_of(scope)
    if exchange is not None:
        exchange.status = CLIENT_GONE


async def _refuse(call: Call, refusal: ProtocolError, scope: Scope, *, linger: bool) -> None:
    """Answer with an error; an answer that has begun can only be broken off.

    A connection that is closed while its client still sends may be reset, and the answer lost. So the
    rest of an unwanted body is taken and thrown away, for a moment, unless the client waits to be asked.
    """
    response = error_response(refusal, scope)
    if call.started:
        return
    if call.body_read:
        await response(scope, call.receive, call.send)
        return
    response.headers["connection"] = "close"
    if not linger:
        await response(scope, call.receive, call.send)
        return

    async def send_open(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["more_body"] = True
        await call.send(message)

    await response(scope, call.receive, send_open)
    with anyio.move_on_after(_LINGER_S):
        await call.discard_body()
    await call.send({"type": "http.response.body", "body": b"", "more_body": False})
