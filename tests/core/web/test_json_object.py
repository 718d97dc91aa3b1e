"""Bodies that are JSON objects, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from jackfield.errors import ProtocolError
from jackfield.web.json_object import read_object

pytestmark = pytest.mark.anyio


async def read(*chunks: bytes, kind: str = "application/json", max_bytes: int = 100) -> dict[str, Any]:
    left = list(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    return await read_object(Request(scope, receive), max_bytes)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
async def test_an_object_is_read_however_it_comes_in(kind: str) -> None:
    assert await read(b'{"a', b'": "\xc3\xa9"}', kind=kind) == {"a": "é"}


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_another_type_is_refused(kind: str) -> None:
    with pytest.raises(ProtocolError, match="415 unsupported_media_type"):
        await read(b"{}", kind=kind)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"a"', b"\xff\xfe\xfd", b"[" * 90])
async def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="400 malformed_body"):
        await read(body)


async def test_reading_ends_at_the_limit() -> None:
    endless = [b" " * 60] * 3
    with pytest.raises(ProtocolError, match="413 body_too_large"):
        await read(*endless)
