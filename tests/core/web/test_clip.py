"""Sending a stored clip to a client that may have it already; ranges are tested with relay-chat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from jackfield.contracts.panel import StoredClip
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
