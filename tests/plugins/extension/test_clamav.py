"""The extension that has clamd look at uploads, against a real clamd."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from pydantic import ValidationError

import jackfield_extension_clamav as clamav
from jackfield import ProviderBadReply, ProviderTimedOut, ProviderUnavailable, Site
from jackfield.contracts.extension import Scanner, Upload
from jackfield_extension_clamav import ClamavOptions, ClamavScanner
from tests.clamav_server import EICAR, MAX_BYTES, ClamavServer
from tests.redis_server import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClamavServer]:
    with ClamavServer(tmp_path_factory.mktemp("clamd")) as server:
        yield server


def scanner(address: str, **options: Any) -> ClamavScanner:
    site = Site("extension.1", "clamav", logging.getLogger("jackfield.extension.clamav"))
    built = clamav.make_scanner(ClamavOptions(address=address, **options), site)
    assert isinstance(built, Scanner)
    return built


def upload(data: bytes) -> Upload:
    return Upload(data, "audio/webm")


@asynccontextmanager
async def stand_in(answer: Callable[[SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """The address of something that does on each connection as the test says."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            await answer(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"tcp://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_the_test_virus_is_found_and_all_else_is_clean(clamd: ClamavServer, way: str) -> None:
    async with scanner(getattr(clamd, way)) as found:
        assert await found.scan(upload(b"\x1aE\xdf\xa3 a harmless recording"))
        assert not await found.scan(upload(EICAR))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 500_000])
async def test_uploads_of_every_size_arrive_whole(clamd: ClamavServer, size: int) -> None:
    padding = bytes(size)

    assert await scanner(clamd.tcp).scan(upload(padding))
    assert not await scanner(clamd.tcp).scan(upload(padding + EICAR))


async def test_many_are_looked_at_at_once(clamd: ClamavServer) -> None:
    found = scanner(clamd.unix)
    clean: list[tuple[int, bool]] = []

    async def scan(number: int) -> None:
        clean.append((number, await found.scan(upload(EICAR if number % 2 else b"clean" * number))))

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(scan, number)
    assert sorted(clean) == [(number, number % 2 == 0) for number in range(30)]


async def test_the_log_names_the_virus_and_nothing_of_the_upload(
    clamd: ClamavServer, caplog: pytest.LogCaptureFixture
) -> None:
    await scanner(clamd.tcp).scan(upload(b"secret-123" + EICAR))

    assert "an upload is refused: Eicar-Test-Pattern" in caplog.text
    assert "secret-123" not in caplog.text


async def test_what_is_larger_than_clamd_takes_is_not_called_clean(clamd: ClamavServer) -> None:
    for address in (clamd.unix, clamd.tcp):
        with pytest.raises(ProviderBadReply):
            await scanner(address, required=False).scan(upload(bytes(3 * MAX_BYTES)))


async def test_a_clamd_that_went_away_and_came_back(tmp_path: Path) -> None:
    with ClamavServer(tmp_path) as clamd:
        found = scanner(clamd.unix)
        clamd.kill()
        with pytest.raises(ProviderUnavailable, match="cannot be reached"):
            await found.scan(upload(b"clean"))
        clamd.start()

        assert await found.scan(upload(b"clean"))


@pytest.mark.parametrize(
    "address", [f"tcp://127.0.0.1:{free_port()}", "unix:///nowhere/clamd.ctl"], ids=["tcp", "unix"]
)
async def test_without_clamd_uploads_may_be_let_in(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ProviderUnavailable):
        await scanner(address).scan(upload(EICAR))
    assert await scanner(address, required=False).scan(upload(EICAR))
    assert "an upload is let in unseen" in caplog.text


async def test_the_server_starts_before_clamd_is_there(caplog: pytest.LogCaptureFixture) -> None:
    async with scanner("unix:///nowhere/clamd.ctl"):
        assert "clamd does not answer yet" in caplog.text


@pytest.mark.parametrize("required", [True, False])
async def test_a_clamd_that_does_not_answer_is_left_and_the_upload_refused(required: bool) -> None:
    async def hang(stream: SocketStream) -> None:
        await anyio.sleep_forever()

    async with stand_in(hang) as address:
        with pytest.raises(ProviderTimedOut, match=r"within 0\.1 s"):
            await scanner(address, timeout_s=0.1, required=required).scan(upload(b"clean"))


@pytest.mark.parametrize(
    "reply",
    [
        b"INSTREAM size limit exceeded. ERROR\0",
        b"UNKNOWN COMMAND\0",
        b"HTTP/1.1 400 Bad Request\r\n" * 1000,
        b"\0",
        b"stream: O",
        b"",
    ],
)
async def test_whatever_else_is_answered_is_not_called_clean(reply: bytes) -> None:
    async def answer(stream: SocketStream) -> None:
        await stream.receive()
        if reply:
            await stream.send(reply)

    async with stand_in(answer) as address:
        with pytest.raises(ProviderBadReply):
            await scanner(address, required=False).scan(upload(b"clean"))


async def test_a_scan_that_nobody_waits_for_ends_at_once() -> None:
    asked, gone = anyio.Event(), anyio.Event()

    async def note(stream: SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while await stream.receive():
                asked.set()
        gone.set()

    async with stand_in(note) as address:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scanner(address).scan, upload(b"clean"))
            await asked.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await gone.wait()


@pytest.mark.parametrize(
    "address",
    ["", "clamd", "tcp://clamd", "tcp://:3310", "tcp://h:99999", "unix://", "unix://host/path", "http://h:1"],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="tcp://host:port"):
        ClamavOptions(address=address)


@pytest.mark.parametrize(
    ("address", "network"),
    [("unix:///run/clamd.ctl", False), ("tcp://127.0.0.1:3310", False), ("tcp://scanner.example:3310", True)],
)
def test_it_declares_whether_it_needs_a_network(address: str, network: bool) -> None:
    assert clamav.plugin_info().capabilities(ClamavOptions(address=address)).network == network
