"""Sending a stored clip, whole or in part."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import Response

from jackfield import ProtocolError
from jackfield.contracts.panel import ClipContent, StoredClip
from jackfield.errors import StoreUnavailable

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

logger: Final = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 64 * 1024
_RANGE: Final = re.compile(r"(\d{0,18})-(\d{0,18})")


def no_such_clip() -> ProtocolError:
    """The one answer for names that are malformed, unknown or expired."""
    return ProtocolError(404, "not_found", "There is nothing here.")


class ClipResponse(Response):
    """A stored clip. Unlike Starlette's `FileResponse` it answers 416 for every bad range, and 404 for a
    clip that was cleaned up in the meantime. A name stands for one content for ever, so it is the ETag."""

    def __init__(self, clip: StoredClip) -> None:
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": f"private, max-age={clip.expires_in_s}",
            "ETag": f'"{clip.path.name}"',
            "X-Content-Type-Options": "nosniff",
        }
        super().__init__(headers=headers, media_type=clip.media_type)
        self._clip = clip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with _content_of(self._clip) as content:
                await self._send(content, scope, receive, send)
        except FileNotFoundError:
            raise no_such_clip() from None

    async def _send(self, content: ClipContent, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers(scope=scope)
        if self._is_known(asked):
            await Response(status_code=304, headers=self._lasting())(scope, receive, send)
            return
        part = range(content.size_bytes)
        if scope["method"] == "GET" and (wanted := byte_range(asked, content.size_bytes)):
            part = wanted
            self.status_code = HTTPStatus.PARTIAL_CONTENT
            self.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{content.size_bytes}"
        self.headers["Content-Length"] = str(len(part))
        async with aclosing(content.read(part if scope["method"] == "GET" else range(0))) as pieces:
            first = await anext(pieces, b"")  # before the head: then what cannot be read is an error still
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await send({"type": "http.response.body", "body": first, "more_body": True})
            try:
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except (FileNotFoundError, StoreUnavailable) as error:
                logger.warning("the rest of a clip cannot be sent: %s", error)
                return  # without an end, so that the client does not take the part for the whole
        await send({"type": "http.response.body", "body": b""})

    def _is_known(self, headers: Headers) -> bool:
        known = headers.get("if-none-match", "")
        tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
        return known.strip() == "*" or self.headers["ETag"] in tags

    def _lasting(self) -> dict[str, str]:
        """The headers that an answer without the file has, too."""
        return {name: self.headers[name] for name in ("Cache-Control", "ETag", "X-Content-Type-Options")}


@asynccontextmanager
async def _content_of(clip: StoredClip) -> AsyncGenerator[ClipContent, None]:
    if clip.content is not None:
        yield clip.content
        return
    file = await to_thread.run_sync(_open, clip.path)
    with file:  # closing what was only read does not block
        yield _File(file)


class _File:
    """A clip in a file of this machine."""

    def __init__(self, file: BinaryIO) -> None:
        self.size_bytes = os.fstat(file.fileno()).st_size
        self._file = file

    async def read(self, part: range) -> AsyncGenerator[bytes, None]:
        self._file.seek(part.start)
        count = len(part)
        while count > 0 and (data := await to_thread.run_sync(self._file.read, min(count, _CHUNK_BYTES))):
            count -= len(data)
            yield data


def _open(path: Path) -> BinaryIO:
    return open(path, "rb")


def byte_range(headers: Headers, size_bytes: int) -> range | None:
    """Give the bytes asked for; None when that is the whole file.

    Several ranges, units other than bytes and conditional ranges are answered with the whole file, as
    RFC 9110 permits.

    :raises ProtocolError: 416 `range_not_satisfiable`.
    """
    unit, _, wanted = headers.get("range", "").partition("=")
    if unit.strip().lower() != "bytes" or "," in wanted or "if-range" in headers:
        return None
    match = _RANGE.fullmatch(wanted.strip())
    if match is None or match[0] == "-":
        raise _bad_range(size_bytes)
    if not match[1]:
        part = range(max(0, size_bytes - int(match[2])), size_bytes)
    else:
        part = range(int(match[1]), min(size_bytes, int(match[2] or size_bytes) + 1))
    if not part:
        raise _bad_range(size_bytes)
    return part


def _bad_range(size_bytes: int) -> ProtocolError:
    headers = {"Content-Range": f"bytes */{size_bytes}"}
    return ProtocolError(
        416, "range_not_satisfiable", "The file has no such range of bytes.", headers=headers
    )
