"""Saying goodbye to WebSockets when the server stops."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from starlette.types import Message

from jackfield.server.in_flight import InFlight, Socket
from jackfield.testing import VirtualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Callable[[], VirtualClock]]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def gone(message: Message) -> None:
    if message["type"] == "websocket.close":
        raise OSError("the client has gone")


async def stuck(message: Message) -> None:
    if message["type"] == "websocket.close":
        await anyio.sleep_forever()


async def test_a_client_that_has_gone_or_does_not_read_holds_up_no_other() -> None:
    told: list[tuple[float, Message]] = []

    async def hear(message: Message) -> None:
        told.append((anyio.current_time(), message))

    in_flight = InFlight(120)
    for send in (gone, stuck, hear):
        socket = Socket(send)
        await socket.send({"type": "websocket.accept"})
        in_flight.sockets.add(socket)
    told.clear()
    with anyio.fail_after(10):
        await in_flight.close_sockets()

    assert told == [(0, {"type": "websocket.close", "code": 1001})]


async def test_what_takes_too_long_to_say_goodbye_is_not_waited_for() -> None:
    closed_s: list[float] = []

    async def hear(message: Message) -> None:
        if message["type"] == "websocket.close":
            closed_s.append(anyio.current_time())

    in_flight = InFlight(120)
    in_flight.farewell = anyio.sleep_forever
    socket = Socket(hear)
    await socket.send({"type": "websocket.accept"})
    in_flight.sockets.add(socket)
    began_s = anyio.current_time()
    await in_flight.close_sockets()

    assert [at_s - began_s for at_s in closed_s] == [pytest.approx(2)]
