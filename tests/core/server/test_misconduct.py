"""Clients that break the protocol of WebSockets: they are closed, and the log stays clean."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import pytest
from anyio import to_thread
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from jackfield.contracts.panel import Panel
from jackfield.errors import ProtocolError
from soak.fuzz.wire import CLOSE, TEXT, Message, RawSocket, close_frame, frame
from tests.core.server.support import AddRoutes, assembly, door, serving

pytestmark = pytest.mark.anyio

NO_TEXT = frame(TEXT, b'{"text": "\xff\xfe"}')


def echo(router: APIRouter, panel: Panel) -> None:
    @router.websocket("/socket")
    async def serve(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)


async def told(add: AddRoutes, act: Callable[[RawSocket], Message | None], **headers: str) -> Message | None:
    """What a client is told that does something, and has its connection closed then."""

    def talk(port: int) -> Message | None:
        with RawSocket(port, "/socket", headers) as socket:
            message = act(socket)
            while not socket.closed and socket.receive() is not None:
                pass
            assert socket.closed
            return message

    async with serving(assembly(door(add))) as served:
        return await to_thread.run_sync(talk, served.port)


def saying(*frames: bytes) -> Callable[[RawSocket], Message | None]:
    def act(socket: RawSocket) -> Message | None:
        assert socket.open()
        socket.send(b"".join(frames))
        return socket.receive()

    return act


def troubles(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_text_that_is_no_utf_8_closes_the_socket_with_1007(caplog: pytest.LogCaptureFixture) -> None:
    message = await told(echo, saying(NO_TEXT))

    assert message is not None
    assert (message.opcode, message.code) == (CLOSE, 1007)
    assert troubles(caplog) == []


async def test_a_farewell_right_behind_such_a_text_is_a_farewell(caplog: pytest.LogCaptureFixture) -> None:
    message = await told(echo, saying(NO_TEXT, close_frame(1000)))

    assert message is not None
    assert (message.opcode, message.code) == (CLOSE, 1000)
    assert troubles(caplog) == []


async def test_a_broken_frame_before_the_handshake_is_answered_closes_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, broken = anyio.Event(), anyio.Event()

    def slow(router: APIRouter, panel: Panel) -> None:
        @router.websocket("/socket")
        async def serve(socket: WebSocket) -> None:
            asked.set()
            await broken.wait()
            await socket.accept()
            await socket.receive_text()

    async with serving(assembly(door(slow))) as served:
        socket = await to_thread.run_sync(RawSocket, served.port, "/socket")
        with socket:
            await asked.wait()
            socket.send(frame(TEXT, b"x", masked=False))
            assert await to_thread.run_sync(socket.open) is False
            broken.set()
        assert socket.closed
    assert troubles(caplog) == []


async def test_whoever_hears_of_such_a_frame_need_not_answer_the_handshake(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = anyio.Event()

    def patient(router: APIRouter, panel: Panel) -> None:
        @router.websocket("/socket")
        async def serve(socket: WebSocket) -> None:
            await socket.receive()
            asked.set()
            assert (await socket.receive())["type"] == "websocket.disconnect"

    async with serving(assembly(door(patient))) as served:
        with await to_thread.run_sync(RawSocket, served.port, "/socket") as socket:
            await asked.wait()
            socket.send(frame(TEXT, b"x", masked=False))
            assert await to_thread.run_sync(socket.open) is False
    assert troubles(caplog) == []


async def test_a_handshake_that_a_door_refuses_at_once_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    def closed(router: APIRouter, panel: Panel) -> None:
        @router.websocket("/socket")
        async def serve(socket: WebSocket) -> None:
            raise ProtocolError(403, "forbidden", "Not here.")

    def knock(port: int) -> int:
        with RawSocket(port, "/socket") as socket:
            assert not socket.open()
            return socket.status

    async with serving(assembly(door(closed))) as served:
        assert await to_thread.run_sync(knock, served.port) == 403
    assert troubles(caplog) == []


@pytest.mark.parametrize("headers", [{"X-Long": "a" * 9_000}, {f"X-{n}": "a" for n in range(150)}])
async def test_a_handshake_that_is_too_large_is_answered(headers: dict[str, str]) -> None:
    def act(socket: RawSocket) -> None:
        assert socket.open() is False
        assert socket.status == 431

    await told(echo, act, **headers)


async def test_a_door_that_goes_on_sending_hears_that_the_client_was_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = anyio.Event()

    def chattering(router: APIRouter, panel: Panel) -> None:
        @router.websocket("/socket")
        async def serve(socket: WebSocket) -> None:
            await socket.accept()
            try:
                while True:
                    await socket.send_text("x")
                    await anyio.sleep(0)
            except WebSocketDisconnect:
                heard.set()

    await told(chattering, saying(frame(TEXT, b"x", rsv=7)))

    assert heard.is_set()
    assert troubles(caplog) == []


async def test_a_client_that_leaves_before_it_is_accepted_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, left, over = anyio.Event(), anyio.Event(), anyio.Event()

    def slow(router: APIRouter, panel: Panel) -> None:
        @router.websocket("/socket")
        async def serve(socket: WebSocket) -> None:
            asked.set()
            await left.wait()
            try:
                await socket.accept()
            finally:
                over.set()

    async with serving(assembly(door(slow))) as served:
        socket = await to_thread.run_sync(RawSocket, served.port, "/socket")
        await asked.wait()
        socket.reset()
        await anyio.sleep(0.05)  # until the server has noticed, which nothing tells
        left.set()
        await over.wait()
    assert troubles(caplog) == []
