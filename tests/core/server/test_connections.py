"""Connections of HTTP: every request on them ends, and so does every client that takes its time."""

from __future__ import annotations

import logging

import anyio
import pytest
from anyio.abc import ByteReceiveStream
from fastapi import APIRouter
from starlette.responses import PlainTextResponse, StreamingResponse

from jackfield.contracts.panel import Panel
from jackfield.server import connections
from jackfield.testing.leaks import Running, left_running
from tests.core.server.support import assembly, door, serving

pytestmark = pytest.mark.anyio

REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Slow:
    """Routes: one that answers when it may, and says so when it could not."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.may = anyio.Event()
        self.over = anyio.Event()

    def add(self, router: APIRouter, panel: Panel) -> None:
        @router.get("/slow")
        async def slow() -> PlainTextResponse:
            self.asked.set()
            try:
                await self.may.wait()
            finally:
                self.over.set()
            return PlainTextResponse("slow")

        @router.get("/stream")
        async def stream() -> StreamingResponse:
            async def parts() -> object:
                yield "begun "
                self.asked.set()
                await self.may.wait()
                yield "over"

            return StreamingResponse(parts())  # type: ignore[arg-type]  # a generator of texts

        @router.get("/quick")
        async def quick() -> PlainTextResponse:
            return PlainTextResponse("quick")


async def everything(connection: ByteReceiveStream) -> bytes:
    """What comes until the server closes the connection."""
    found = b""
    with anyio.fail_after(5):
        while True:
            try:
                found += await connection.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return found


def troubles(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_client_that_leaves_ends_the_request_before_others_that_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    routes = Slow()
    async with serving(assembly(door(routes.add))) as served:
        before = Running.now()
        async with await anyio.connect_tcp("127.0.0.1", served.port) as client:
            await client.send(REQUEST % b"slow" + REQUEST % b"quick" + REQUEST % b"quick")
            await routes.asked.wait()
        with anyio.fail_after(5):
            await routes.over.wait()
        assert await left_running(before) == []
    assert troubles(caplog) == []


async def test_what_is_no_request_ends_those_before_it(caplog: pytest.LogCaptureFixture) -> None:
    routes = Slow()
    async with serving(assembly(door(routes.add))) as served:
        before = Running.now()
        async with await anyio.connect_tcp("127.0.0.1", served.port) as client:
            await client.send(REQUEST % b"slow" + b"GARBAGE\r\n\r\n")
            answer = await everything(client)
        with anyio.fail_after(5):
            await routes.over.wait()
        assert await left_running(before) == []

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert troubles(caplog) == []


async def test_an_answer_that_has_begun_is_broken_off_and_not_mixed_with_another() -> None:
    routes = Slow()
    async with (
        serving(assembly(door(routes.add))) as served,
        await anyio.connect_tcp("127.0.0.1", served.port) as client,
    ):
        await client.send(REQUEST % b"stream")
        await routes.asked.wait()
        await client.send(b"GARBAGE\r\n\r\n")
        answer = await everything(client)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"over" not in answer


async def test_requests_of_one_connection_are_answered_in_their_order() -> None:
    routes = Slow()
    async with (
        serving(assembly(door(routes.add))) as served,
        await anyio.connect_tcp("127.0.0.1", served.port) as client,
    ):
        last = b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        await client.send(REQUEST % b"slow" + REQUEST % b"quick" + last)
        await routes.asked.wait()
        routes.may.set()
        answer = await everything(client)

    assert [part.rpartition(b"\r\n")[2] for part in answer.split(b"HTTP/1.1 ")] == [
        b"",
        b"slow",
        b"quick",
        b"quick",
    ]


@pytest.mark.parametrize("head", [b"", b"GET /quick HT", b"\r\n\r\n"], ids=["none", "half", "blank"])
async def test_a_head_that_does_not_come_to_its_end_closes_the_connection(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.1)
    async with (
        serving(assembly(door(Slow().add))) as served,
        await anyio.connect_tcp("127.0.0.1", served.port) as client,
    ):
        if head:
            await client.send(head)
        answer = await everything(client)

    assert answer.endswith(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")


async def test_an_answer_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    routes = Slow()
    async with serving(assembly(door(routes.add))) as served, anyio.create_task_group() as tasks:
        answers = []

        async def ask() -> None:
            answers.append((await served.client.get("/slow")).text)

        tasks.start_soon(ask)
        await routes.asked.wait()
        await anyio.sleep(0.15)
        routes.may.set()

    assert answers == ["slow"]


async def test_the_next_head_of_a_connection_has_to_come_in_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.1)
    async with (
        serving(assembly(door(Slow().add))) as served,
        await anyio.connect_tcp("127.0.0.1", served.port) as client,
    ):
        await client.send(REQUEST % b"quick")
        assert (await client.receive()).startswith(b"HTTP/1.1 200 ")
        await client.send(b"GET /quick HT")
        answer = await everything(client)

    assert b"HTTP/1.1 408 " in answer
