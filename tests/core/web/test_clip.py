"""Sending a stored clip to a client that may have it already; ranges are tested with relay-chat."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from jackfield.contracts.panel import StoredClip
from jackfield.errors import ProtocolError, StoreUnavailable
from jackfield.web.clip import ClipResponse

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    path = tmp_path / "clip.mp3"
    path.write_bytes(b"0123456789")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await ClipResponse(StoredClip(path, "audio/mpeg", 60))(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://clips") as client:
        yield client


async def test_a_clip_has_its_name_for_a_tag(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).headers["etag"] == '"clip.mp3"'


@pytest.mark.parametrize("known", ['"clip.mp3"', 'W/"clip.mp3"', '"other", "clip.mp3"', "*"])
async def test_a_client_that_has_the_clip_is_not_sent_it_again(client: httpx.AsyncClient, known: str) -> None:
    answer = await client.get("/", headers={"If-None-Match": known, "Range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == '"clip.mp3"'
    assert "content-type" not in answer.headers


async def test_a_client_that_has_another_one_is_sent_the_clip(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"If-None-Match": '"clip.mp4"'})
    assert (answer.status_code, answer.content) == (200, b"0123456789")


class Elsewhere:
    """A clip that is no file, and of which some bytes cannot be had."""

    def __init__(self, error: Exception | None = None, *, lasts_bytes: int = 0) -> None:
        self.size_bytes = 10
        self.parts: list[range] = []
        self._error = error
        self._lasts_bytes = lasts_bytes

    async def read(self, part: range) -> AsyncGenerator[bytes, None]:
        self.parts.append(part)
        for at in part:
            if self._error is not None and at >= self._lasts_bytes:
                raise self._error
            yield b"0123456789"[at : at + 1]


async def sent(content: Elsewhere, method: str = "GET", **headers: str) -> list[Message]:
    """What goes to the client."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "headers": raw}
    await ClipResponse(StoredClip(Path("clip.mp3"), "audio/mpeg", 60, content))(scope, receive, send)
    return messages


async def test_a_clip_that_is_no_file_is_sent_as_one_that_is() -> None:
    start, *pieces = await sent(Elsewhere())
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-length"] == b"10"
    assert headers[b"etag"] == b'"clip.mp3"'
    assert headers[b"cache-control"] == b"private, max-age=60"
    assert b"".join(piece["body"] for piece in pieces) == b"0123456789"
    assert not pieces[-1].get("more_body")


async def test_of_a_clip_that_is_no_file_only_the_part_is_read_that_was_asked_for() -> None:
    content = Elsewhere()
    start, *pieces = await sent(content, range="bytes=2-4")
    assert dict(start["headers"])[b"content-range"] == b"bytes 2-4/10"
    assert b"".join(piece["body"] for piece in pieces) == b"234"
    assert content.parts == [range(2, 5)]


async def test_of_a_clip_that_is_no_file_nothing_is_read_when_nothing_is_sent() -> None:
    content = Elsewhere(StoreUnavailable("away"))
    (start, *_), (unchanged, *_) = await sent(content, "HEAD"), await sent(content, if_none_match="*")
    assert (start["status"], dict(start["headers"])[b"content-length"]) == (200, b"10")
    assert unchanged["status"] == 304


async def test_a_clip_that_cannot_be_read_is_an_error_and_not_half_an_answer() -> None:
    with pytest.raises(StoreUnavailable):
        await sent(Elsewhere(StoreUnavailable("away")))
    with pytest.raises(ProtocolError, match="404"):
        await sent(Elsewhere(FileNotFoundError()))


async def test_a_clip_whose_rest_cannot_be_read_has_no_end() -> None:
    messages = await sent(Elsewhere(StoreUnavailable("away"), lasts_bytes=3))
    assert b"".join(message.get("body", b"") for message in messages) == b"012"
    assert all(message["more_body"] for message in messages[1:])
