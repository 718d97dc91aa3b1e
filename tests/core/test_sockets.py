"""WebSockets of JSON objects, over real connections: who is let in, what closes them, who is given up."""

from __future__ import annotations

import json
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from jackfield.contracts.auth import UserId
from jackfield.contracts.panel import Panel
from jackfield.contracts.transport import MORE_FOLLOWS
from jackfield.errors import ProtocolError, StoreUnavailable
from jackfield.sockets import JsonSocket, SocketRules, open_socket

pytestmark = pytest.mark.anyio

Handler = Callable[[JsonSocket], Awaitable[None]]


class Gate:
    """The part of a panel that a socket asks: lets everybody in but `refusal`."""

    def __init__(self, refusal: ProtocolError | None = None, user: UserId | None = None) -> None:
        self.limits = self
        self.refusal = refusal
        self.user = user
        self.asked: list[str] = []

    def check_origin(self, connection: HTTPConnection) -> None:
        self.asked.append("origin")

    async def identify(self, connection: HTTPConnection) -> UserId | None:
        self.asked.append("identify")
        if self.refusal is not None:
            raise self.refusal
        return self.user

    async def check_address(self, connection: HTTPConnection) -> None:
        self.asked.append("address")


def describe(error: ProtocolError) -> Mapping[str, Any]:
    return {"event": "error", "code": error.code}


async def echo(socket: JsonSocket) -> None:
    async for found in socket.objects():
        socket.post({"echo": found})


@asynccontextmanager
async def served(handler: Handler = echo, gate: Gate | None = None, **rules: Any) -> AsyncIterator[str]:
    """The address of a server whose sockets are handled so; every handler has ended afterwards."""
    running = 0

    async def endpoint(websocket: WebSocket) -> None:
        nonlocal running
        running += 1
        try:
            panel = cast("Panel", gate or Gate())  # all that is asked of it
            async with open_socket(websocket, panel, SocketRules(describe, **rules)) as socket:
                await handler(socket)
        except (ProtocolError, StoreUnavailable, ValueError):
            pass  # counted by the server's own layers
        finally:
            running -= 1

    app = Starlette(routes=[WebSocketRoute("/ws", endpoint)])
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 64 * 1024)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", ws="websockets-sansio", lifespan="off")
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"
            with anyio.fail_after(5):
                while running:
                    await anyio.sleep(0.01)
            server.should_exit = True


async def ask(client: ClientConnection, message: str | bytes) -> dict[str, Any]:
    await client.send(message)
    found: dict[str, Any] = json.loads(await client.recv())
    return found


async def end_of(client: ClientConnection) -> tuple[list[str], int]:
    """Codes of the errors that come before the end, and the close code."""
    codes = []
    with suppress(ConnectionClosed):
        while True:
            codes.append(json.loads(await client.recv())["code"])
    assert client.close_code is not None
    return codes, client.close_code


async def test_objects_come_in_and_messages_go_out_in_their_order() -> None:
    async with served() as url, connect(url) as client:
        for number in range(3):
            await client.send(json.dumps({"n": number}))
        answers = [json.loads(await client.recv()) for _ in range(3)]

    assert answers == [{"echo": {"n": number}} for number in range(3)]


@pytest.mark.parametrize("frame", ["not json", "[1]", '"text"', "null", "", b"{}", "[" * 100_000])
async def test_a_bad_frame_is_told_and_the_socket_stays(frame: str | bytes) -> None:
    async with served(max_frame_bytes=200_000) as url, connect(url) as client:
        assert await ask(client, frame) == {"event": "error", "code": "invalid_json"}
        assert await ask(client, "{}") == {"echo": {}}


async def test_many_bad_frames_close_it() -> None:
    async with served(max_bad_frames=3) as url, connect(url) as client:
        for _ in range(3):
            await client.send("x")
        codes, code = await end_of(client)

    assert codes == ["invalid_json"] * 3 + ["too_many_bad_frames"]
    assert code == 1008


@pytest.mark.parametrize("frame", ["x" * 101, b"x" * 101, "ä" * 51])
async def test_a_frame_that_is_too_large_closes_it(frame: str | bytes) -> None:
    async with served(max_frame_bytes=100) as url, connect(url) as client:
        await client.send(frame)
        assert await end_of(client) == (["message_too_large"], 1009)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (ProtocolError(401, "not_authenticated", "Sign in first."), 4401),
        (ProtocolError(403, "origin_not_allowed", "No."), 4403),
        (ProtocolError(429, "rate_limited", "Slow down."), 4429),
        (ProtocolError(400, "odd", "Odd."), 1008),
    ],
)
async def test_whoever_is_refused_is_told_why(refusal: ProtocolError, code: int) -> None:
    async with served(gate=Gate(refusal)) as url, connect(url) as client:
        assert await end_of(client) == ([refusal.code], code)


async def test_only_strangers_count_towards_their_address() -> None:
    user = UserId("devices", "kitchen")
    known, stranger = Gate(user=user), Gate()
    for gate in (known, stranger):
        async with served(gate=gate) as url, connect(url) as client:
            await ask(client, "{}")

    assert known.asked == ["origin", "identify"]
    assert stranger.asked == ["origin", "identify", "address"]


async def test_a_bearer_among_the_subprotocols_is_answered() -> None:
    async with served() as url, connect(url, subprotocols=["jackfield.bearer", "token"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "jackfield.bearer"


@pytest.mark.parametrize(
    ("error", "codes", "code"),
    [
        (ProtocolError(404, "chat_not_found", "No."), ["chat_not_found"], 4404),
        (StoreUnavailable("gone"), ["store_unavailable"], 1013),
        (ValueError("a secret"), [], 1011),
    ],
)
async def test_what_is_raised_inside_closes_it(error: Exception, codes: list[str], code: int) -> None:
    async def fail(socket: JsonSocket) -> None:
        raise error

    async with served(fail) as url, connect(url) as client:
        assert await end_of(client) == (codes, code)


async def test_it_is_closed_normally_when_the_door_has_said_everything() -> None:
    async def greet(socket: JsonSocket) -> None:
        socket.post({"code": "welcome"})

    async with served(greet) as url, connect(url) as client:
        assert await end_of(client) == (["welcome"], 1000)


async def test_messages_that_wait_together_are_told_to_leave_together() -> None:
    sent: list[Mapping[str, Any]] = []
    everything = anyio.Event()

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 4:
            everything.set()

    websocket = WebSocket({"type": "websocket"}, receive, send)
    await websocket.accept()
    socket = JsonSocket(websocket, SocketRules(describe))
    for number in range(3):
        socket.post({"n": number})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(socket.send_waiting)
        await everything.wait()
        tasks.cancel_scope.cancel()

    assert [(message["text"], MORE_FOLLOWS in message) for message in sent[1:]] == [
        ('{"n":0}', True),
        ('{"n":1}', True),
        ('{"n":2}', False),
    ]


async def test_a_client_that_does_not_read_is_given_up_and_nobody_waits_for_it() -> None:
    given_up = anyio.Event()

    async def flood(socket: JsonSocket) -> None:
        try:
            while True:
                socket.post({"text": "x" * 60_000})
                await anyio.sleep(0)
        finally:
            given_up.set()

    async with served(flood, max_waiting_bytes=1_000_000) as url:
        host, port = url.removeprefix("ws://").removesuffix("/ws").split(":")
        narrow = sockets.socket()
        narrow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        narrow.connect((host, int(port)))
        narrow.setblocking(False)
        async with connect(url, sock=narrow, max_queue=1) as client:
            with anyio.fail_after(5):
                await given_up.wait()
            client.transport.abort()


async def test_a_client_that_vanishes_ends_the_socket() -> None:
    async with served() as url, connect(url) as client:
        await ask(client, "{}")
        client.transport.abort()
