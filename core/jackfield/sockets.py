"""WebSockets that carry JSON objects, as transports open them: signing in, bounds, and sending to many.

What a client sends is one JSON object a text frame. Whatever else comes is a bad frame: it is answered with
an error and counted; too many close the socket with 1008, one that is too large with 1009. Messages are sent
by a task of the socket's own, so that whoever posts one never waits for a client, and a client that does not
read is given up.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import anyio
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from jackfield.contracts.auth import UserId
from jackfield.contracts.call import EndReason
from jackfield.contracts.panel import Panel
from jackfield.contracts.transport import MORE_FOLLOWS
from jackfield.errors import ProtocolError, StoreUnavailable

_BEARER: Final = "jackfield.bearer"
"""The subprotocol before the one that is a token: browsers can set no header on a WebSocket."""

NORMAL: Final = 1000
POLICY: Final = 1008
TOO_LARGE: Final = 1009
INTERNAL: Final = 1011
CLOSE_CODES: Final[Mapping[int, int]] = {
    401: 4401,
    403: 4403,
    404: 4404,
    409: 4409,
    413: TOO_LARGE,
    429: 4429,
    500: INTERNAL,
    502: INTERNAL,
    503: 1013,
    504: INTERNAL,
}
CODES_OF_REASONS: Final[Mapping[EndReason, int]] = {
    "hung_up": NORMAL,
    "idle": NORMAL,
    "too_long": NORMAL,
    "provider_lost": INTERNAL,
    "bad_audio": POLICY,
    "shutdown": 1001,
}
"""With which a socket is closed whose call has ended."""
_CLOSE_S: Final = 2.0
"""How long a client that does not read may hold up the closing."""
_FLOOD_S: Final = 60.0

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode  # ASCII: sends whatever a model may write

_INVALID: Final = ProtocolError(422, "invalid_json", "The frame is not a JSON object.")
_NO_STORE: Final = ProtocolError(503, "store_unavailable", "The conversations cannot be reached now.")


def close_code(error: ProtocolError) -> int:
    """The code with which a socket is closed because of an error; 1008 for what has none of its own."""
    return CLOSE_CODES.get(error.status, POLICY)


def offered_token(connection: HTTPConnection) -> str:
    """The token of a WebSocket that offers the subprotocols `jackfield.bearer, TOKEN`; empty without one."""
    offered = connection.scope.get("subprotocols", ())
    return offered[1] if len(offered) > 1 and offered[0] == _BEARER else ""


async def accept(websocket: WebSocket) -> None:
    """Accept a WebSocket, with the subprotocol that goes before a token if it was offered."""
    offered = websocket.scope.get("subprotocols", ())
    await websocket.accept(_BEARER if _BEARER in offered else None)


@dataclass(frozen=True, slots=True)
class SocketRules:
    """How a transport's sockets behave. `describe` writes an error as the contract has it."""

    describe: Callable[[ProtocolError], Mapping[str, Any]]
    max_frame_bytes: int = 64 * 1024
    max_bad_frames: int = 20
    """Bad frames within a minute that close the socket."""
    max_waiting_bytes: int = 4 * 1024 * 1024
    """What may wait to be sent; with more, beside a single message, the client is given up."""
    send_s: float = 5.0
    """How long one message may take; then the client is given up."""


class JsonSocket:
    """An accepted WebSocket. Made by `open_socket`."""

    def __init__(self, websocket: WebSocket, rules: SocketRules) -> None:
        self.user: UserId | None = None
        """Who signed in; None where the door has no authentication."""
        self._websocket = websocket
        self._rules = rules
        self._outgoing: deque[str] = deque()
        self._waiting_bytes = 0
        self._wake = anyio.Event()
        self._scope = anyio.CancelScope()
        self._bad: deque[float] = deque()

    @property
    def given_up(self) -> bool:
        """Whether the client did not read what it was sent."""
        return self._scope.cancel_called

    def post(self, message: Mapping[str, Any]) -> None:
        """Send a message, after those that wait; forgotten once the socket is closed."""
        self.post_text(encoded(message))

    def post_text(self, text: str) -> None:
        """Send a message that is encoded already, as for many sockets at once."""
        if self.given_up:
            return
        self._waiting_bytes += len(text)  # ASCII
        if self._outgoing and self._waiting_bytes > self._rules.max_waiting_bytes:
            self._scope.cancel()
            return
        self._outgoing.append(text)
        self._wake.set()

    def reject(self, error: ProtocolError) -> None:
        """Answer a bad frame, and count it.

        :raises ProtocolError: when there were too many; the socket is then closed.
        """
        self.post(self._rules.describe(error))
        now_s = time.monotonic()
        self._bad.append(now_s)
        while now_s - self._bad[0] > _FLOOD_S:
            self._bad.popleft()
        if len(self._bad) >= self._rules.max_bad_frames:
            raise _flooding()

    async def objects(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what the client sends, until it leaves.

        :raises ProtocolError: when it sends what closes the socket.
        """
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            size_bytes = len(message.get("bytes") or b"") if text is None else _size_bytes(text)
            if size_bytes > self._rules.max_frame_bytes:
                raise _oversized()
            found = _parsed(text) if text is not None else None
            if found is None:
                self.reject(_INVALID)
            else:
                yield found

    async def send_waiting(self) -> None:
        """Send what is posted, until cancelled; gives the client up when it does not read, or has gone."""
        with suppress(WebSocketDisconnect, OSError), anyio.CancelScope() as sending:
            while True:
                while self._outgoing:
                    text = self._outgoing.popleft()
                    self._waiting_bytes -= len(text)
                    message: dict[str, object] = {"type": "websocket.send", "text": text}
                    if self._outgoing:  # then both leave in one piece
                        message[MORE_FOLLOWS] = True
                    sending.deadline = anyio.current_time() + self._rules.send_s
                    await self._websocket.send(message)
                sending.deadline = math.inf
                self._wake = anyio.Event()
                await self._wake.wait()
        self._scope.cancel()

    async def close(self, code: int, reason: str = "") -> None:
        """Send what waits and close; a client that does not read is not waited for."""
        with anyio.move_on_after(_CLOSE_S), suppress(WebSocketDisconnect, OSError):
            while self._outgoing and is_open(self._websocket):
                await self._websocket.send_text(self._outgoing.popleft())
            if is_open(self._websocket):
                await self._websocket.close(code, reason)

    @contextmanager
    def given_up_by_cancelling(self) -> Iterator[None]:
        """What is inside ends when the client is given up."""
        with self._scope:
            yield


def is_open(websocket: WebSocket) -> bool:
    """Whether something may be sent: neither side has closed the WebSocket, and it could be written to."""
    connected = WebSocketState.CONNECTED
    return websocket.client_state is connected and websocket.application_state is connected


@asynccontextmanager
async def open_socket(websocket: WebSocket, panel: Panel, rules: SocketRules) -> AsyncIterator[JsonSocket]:
    """Accept a WebSocket, and close it at the end.

    It is accepted before anybody is refused, since browsers cannot see why a handshake failed: whoever has
    not signed in, comes from a foreign page or asks too often gets one error and a close code, and so does a
    client for which a ProtocolError is raised inside. That is raised again, so that it is counted.
    """
    await accept(websocket)
    socket = JsonSocket(websocket, rules)
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(socket.send_waiting)
        try:
            with socket.given_up_by_cancelling():
                socket.user = await admitted(websocket, panel)
                yield socket
        except Exception as error:  # noqa: BLE001  # raised below, so that it does not arrive in a group
            failure = error
        tasks.cancel_scope.cancel()
    await _farewell(socket, rules, failure)
    if failure is not None:
        raise failure


async def admitted(websocket: WebSocket, panel: Panel) -> UserId | None:
    """Say who opened a WebSocket; None where the door has no authentication, and only addresses count.

    :raises ProtocolError: 401, 403, 429 or 503 for whoever may not.
    """
    panel.check_origin(websocket)
    user = await panel.identify(websocket)
    if user is None:
        await panel.limits.check_address(websocket)
    return user


async def _farewell(socket: JsonSocket, rules: SocketRules, failure: Exception | None) -> None:
    if isinstance(failure, StoreUnavailable):
        failure = _NO_STORE
    if isinstance(failure, ProtocolError):
        socket.post(rules.describe(failure))
        await socket.close(close_code(failure), failure.code)
    elif failure is not None:
        await socket.close(INTERNAL)
    else:
        await socket.close(POLICY if socket.given_up else NORMAL)


def encoded(message: Mapping[str, Any]) -> str:
    """Write a message as it is sent."""
    return _encode(message)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _oversized() -> ProtocolError:
    return ProtocolError(413, "message_too_large", "The frame is larger than is allowed.")


def _flooding() -> ProtocolError:
    return ProtocolError(400, "too_many_bad_frames", "Too many frames were not acceptable.")
