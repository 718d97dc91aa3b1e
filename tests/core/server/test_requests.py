"""What holds for every request: its id, its limits of size and time, and clients that leave."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest
from anyio.abc import ByteStream
from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse

from jackfield.contracts.panel import Panel
from jackfield.server.exchange import request_id
from tests.core.server.support import Served, assembly, door, serving

pytestmark = pytest.mark.anyio

SMALL = {"limits": {"audio_bytes": 1024}}
MAX_BYTES = 1024 + 1024 * 1024
TOO_LONG = f"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n".encode()


def reading(router: APIRouter, _panel: Panel) -> None:
    @router.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    @router.post("/form")
    async def form(request: Request) -> int:
        return len(await request.form())

    @router.get("/id")
    async def show_id() -> str:
        return request_id.get()


async def test_a_request_id_is_made_and_returned() -> None:
    async with serving(assembly(door(reading))) as served:
        answer = await served.client.get("/id")
        other = await served.client.get("/id")
    assert answer.json() == answer.headers["x-request-id"] != other.headers["x-request-id"]
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_harmless_request_id_of_the_client_is_kept() -> None:
    async with serving(assembly(door(reading))) as served:
        answer = await served.client.get("/id", headers={"X-Request-Id": "trace-12345678"})
    assert answer.headers["x-request-id"] == answer.json() == "trace-12345678"


@pytest.mark.parametrize("given", ["short", "x" * 65, "has space", "semi;colon"])
async def test_a_request_id_that_breaks_the_rule_is_replaced(given: str) -> None:
    async with serving(assembly(door(reading))) as served:
        answer = await served.client.get("/id", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] != given


async def test_a_body_of_just_the_limit_is_taken() -> None:
    async with serving(assembly(door(reading), config=SMALL)) as served:
        answer = await served.client.post("/length", content=b"x" * MAX_BYTES)
    assert answer.json() == MAX_BYTES


async def test_a_length_beyond_the_limit_is_refused_before_the_body_is_sent() -> None:
    async with (
        serving(assembly(door(reading), config=SMALL)) as served,
        await anyio.connect_tcp("127.0.0.1", served.port) as stream,
    ):
        await stream.send(TOO_LONG)
        answer = await stream.receive()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("path", ["/length", "/form"])
async def test_a_body_that_tells_no_length_is_refused_once_it_is_too_large(path: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(64):
            yield b"x" * 65536

    async with serving(assembly(door(reading), config=SMALL)) as served:
        answer = await served.client.post(
            path, content=body(), headers={"content-type": "multipart/form-data; boundary=cut"}
        )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_client_that_asks_first_is_told_no_and_is_not_asked_for_its_body() -> None:
    async with (
        serving(assembly(door(reading), config=SMALL)) as served,
        await anyio.connect_tcp("127.0.0.1", served.port) as stream,
    ):
        await stream.send(TOO_LONG.replace(b"Host: x", b"Host: x\r\nExpect: 100-continue"))
        answer = b""
        with suppress(anyio.EndOfStream), anyio.fail_after(0.9):
            while True:
                answer += await stream.receive()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


async def test_a_client_that_never_stops_sending_is_answered_and_then_cut_off() -> None:
    async def send(stream: ByteStream) -> None:
        with suppress(anyio.BrokenResourceError):
            while True:
                await stream.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    async with (
        serving(assembly(door(reading), config=SMALL)) as served,
        await anyio.connect_tcp("127.0.0.1", served.port) as stream,
    ):
        await stream.send(b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send, stream)
                answer = await stream.receive()
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_request_that_takes_too_long_is_ended() -> None:
    ended = anyio.Event()

    def routes(router: APIRouter, _panel: Panel) -> None:
        @router.get("/slow")
        async def slow() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()

    async with serving(assembly(door(routes), config={"timeouts": {"request_seconds": 0.2}})) as served:
        answer = await served.client.get("/slow")
        await ended.wait()
    assert (answer.status_code, answer.json()["code"]) == (504, "request_timeout")


class Turn:
    """A handler that works until it is cancelled."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.cancelled = anyio.Event()

    async def work(self) -> None:
        self.begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()

    def routes(self, router: APIRouter, _panel: Panel) -> None:
        @router.post("/plain")
        async def plain(request: Request) -> None:
            await request.body()
            await self.work()

        @router.get("/without-body")
        async def without_body() -> None:
            await self.work()

        @router.post("/stream")
        async def stream(request: Request) -> StreamingResponse:
            await request.body()

            async def words() -> AsyncIterator[str]:
                yield "one "
                await self.work()

            return StreamingResponse(words())


async def _until(served: Served, text: str) -> str:
    with anyio.fail_after(5):
        while text not in (figures := await served.figures()):
            await anyio.sleep(0.02)
    return figures


@pytest.mark.parametrize("path", ["/plain", "/without-body", "/stream"])
async def test_a_client_that_leaves_cancels_its_request(path: str, caplog: pytest.LogCaptureFixture) -> None:
    turn = Turn()
    method = "GET" if path == "/without-body" else "POST"
    body = b"" if method == "GET" else b"Content-Length: 2\r\n\r\nhi"
    async with serving(assembly(door(turn.routes))) as served:
        with caplog.at_level(logging.INFO):
            stream: ByteStream
            async with await anyio.connect_tcp("127.0.0.1", served.port) as stream:
                await stream.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode() + (body or b"\r\n"))
                await turn.begun.wait()
            with anyio.fail_after(1):
                await turn.cancelled.wait()
            await _until(served, 'jackfield_requests_total{status="499",transport="trial"} 1.0')
    assert any(f"{path} 499" in record.getMessage() for record in caplog.records)


async def test_work_after_the_answer_is_not_cancelled_by_the_clients_leaving() -> None:
    answering, going_on, finished = anyio.Event(), anyio.Event(), anyio.Event()

    async def afterwards() -> None:
        await going_on.wait()
        finished.set()

    def routes(router: APIRouter, _panel: Panel) -> None:
        @router.get("/")
        async def answer() -> PlainTextResponse:
            await answering.wait()
            return PlainTextResponse("done", background=BackgroundTask(afterwards))

    async with serving(assembly(door(routes))) as served:
        async with await anyio.connect_tcp("127.0.0.1", served.port) as stream:
            await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with anyio.fail_after(3):
                while not any(call.watched for call in served.in_flight.calls):
                    await anyio.sleep(0.01)
            answering.set()
            assert (await stream.receive()).startswith(b"HTTP/1.1 200 OK")
        await anyio.wait_all_tasks_blocked()
        going_on.set()
        with anyio.fail_after(3):
            await finished.wait()


async def test_a_request_leaves_nothing_behind() -> None:
    async with serving(assembly(door(reading))) as served:
        await served.client.post("/length", content=b"hello")
        assert not served.in_flight.calls


async def test_health_is_answered_while_a_request_is_refused_slowly() -> None:
    """A client that goes on sending what nobody wants holds up no one else."""
    async with serving(assembly(door(reading), config=SMALL)) as served:
        raw = socket.create_connection(("127.0.0.1", served.port))
        with raw:
            raw.sendall(
                f"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n".encode()
            )
            answer = await served.client.get("/health", timeout=1)
    assert answer.status_code == 200
