"""Gathering: what is sent in one pass of the loop is written in one go, in order, and never forgotten."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest
from fastapi import APIRouter
from starlette.websockets import WebSocket

from jackfield.contracts.panel import Panel
from jackfield.server.gathering import LARGE_BYTES, MOST_HELD_BYTES, GatheringTransport
from tests.core.server.support import assembly, door, serving

pytestmark = pytest.mark.anyio


class Connection(asyncio.Transport):
    """Keeps what is written; `None` is the end."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes | None] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        assert not self.closing
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        self.written.append(None)


def gathering() -> tuple[Connection, GatheringTransport]:
    connection = Connection()
    return connection, GatheringTransport(connection, asyncio.get_running_loop())


async def test_the_first_frame_of_a_burst_is_written_at_once_and_the_others_together() -> None:
    connection, transport = gathering()
    for frame in (b"a", b"b", b"c"):
        transport.write(frame)

    assert connection.written == [b"a"]
    await anyio.lowlevel.checkpoint()
    assert connection.written == [b"a", b"bc"]


async def test_where_more_is_expected_the_first_frame_waits_for_the_end_of_the_pass() -> None:
    connection, transport = gathering()
    transport.expect_more()
    transport.write(b"a")
    transport.write(b"b")

    assert connection.written == []
    await anyio.lowlevel.checkpoint()
    assert connection.written == [b"ab"]


async def test_what_was_held_for_more_leaves_with_something_large() -> None:
    connection, transport = gathering()
    sound = bytes(LARGE_BYTES)
    transport.expect_more()
    transport.write(b"a")
    transport.write(sound)

    assert connection.written == [b"a" + sound]


async def test_frames_of_different_passes_do_not_wait_for_each_other() -> None:
    connection, transport = gathering()
    for frame in (b"a", b"b"):
        transport.write(frame)
        await anyio.lowlevel.checkpoint()
        assert connection.written[-1] == frame


async def test_a_burst_after_a_frame_that_came_alone_is_still_gathered_soon() -> None:
    connection, transport = gathering()
    transport.write(b"alone")
    await anyio.lowlevel.checkpoint()
    for frame in (b"1", b"2", b"3", b"4", b"5", b"6", b"7"):
        transport.write(frame)

    assert connection.written == [b"alone", b"1", b"2", b"3", b"4", b"5"]
    await anyio.lowlevel.checkpoint()
    assert connection.written[-1] == b"67"


async def test_no_more_is_held_than_the_kernel_may_have_to_refuse() -> None:
    connection, transport = gathering()
    transport.write(b"a")
    frame = b"b" * (LARGE_BYTES - 1)
    frames = -(-MOST_HELD_BYTES // len(frame))
    for _ in range(frames - 1):
        transport.write(frame)
    assert connection.written == [b"a"]
    transport.write(frame)

    assert connection.written == [b"a", frame * frames]


async def test_sound_is_written_at_once_with_what_was_held_before_it() -> None:
    connection, transport = gathering()
    sound = b"s" * LARGE_BYTES
    for frame in (b"a", b"b", b"c", sound, sound, b"d"):
        transport.write(frame)

    assert connection.written == [b"a", b"bc" + sound, sound]
    await anyio.lowlevel.checkpoint()
    assert connection.written[-1] == b"d"


async def test_sound_that_came_alone_does_not_part_the_burst_after_it() -> None:
    connection, transport = gathering()
    sound = b"s" * LARGE_BYTES
    transport.write(sound)
    await anyio.lowlevel.checkpoint()
    for frame in (b"a", b"b", b"c"):
        transport.write(frame)

    assert connection.written == [sound, b"a"]
    await anyio.lowlevel.checkpoint()
    assert connection.written[-1] == b"bc"


async def test_what_is_held_is_written_before_the_connection_is_closed() -> None:
    connection, transport = gathering()
    transport.write(b"a")
    transport.write(b"b")
    transport.close()
    await anyio.lowlevel.checkpoint()

    assert connection.written == [b"a", b"b", None]


async def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    connection, transport = gathering()
    transport.write(b"a")
    transport.write(b"b")
    connection.close()
    await anyio.lowlevel.checkpoint()
    transport.close()

    assert connection.written == [b"a", None, None]


def counting(router: APIRouter, panel: Panel) -> None:
    @router.websocket("/count")
    async def count(socket: WebSocket) -> None:
        await socket.accept()
        for number in range(1000):
            await socket.send_text(f"{number} {'x' * 200}")
        await socket.close()


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_burst_arrives_whole_and_in_order_before_the_farewell(compressed: bool) -> None:
    from websockets.asyncio.client import connect

    config = {"server": {"websocket_compression": compressed}}
    async with (
        serving(assembly(door(counting), config=config)) as served,
        connect(f"ws://127.0.0.1:{served.port}/count", proxy=None) as client,
    ):
        messages = [str(message) async for message in client]

    assert [message.split()[0] for message in messages] == [str(number) for number in range(1000)]
    assert client.close_code == 1000


async def test_a_client_that_does_not_read_is_waited_for() -> None:
    sent = 0

    def flooding(router: APIRouter, panel: Panel) -> None:
        @router.websocket("/flood")
        async def flood(socket: WebSocket) -> None:
            nonlocal sent
            await socket.accept()
            for _ in range(1000):
                await socket.send_text("x" * 65536)
                sent += 1

    async with (
        serving(assembly(door(flooding))) as served,
        await anyio.connect_tcp("127.0.0.1", served.port) as client,
    ):
        await client.send(
            b"GET /flood HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await client.receive()
        await anyio.wait_all_tasks_blocked()
        assert 0 < sent < 1000
