"""Asking clamd, in its own protocol: one command a connection, `INSTREAM` with the upload in chunks."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import ByteStream

from jackfield import ProviderBadReply, ProviderError, ProviderTimedOut, ProviderUnavailable, Site
from jackfield.contracts.extension import Upload
from jackfield.text import printable
from jackfield_extension_clamav.address import Address

_CHUNK_BYTES: Final = 64 * 1024
_REPLY_BYTES: Final = 4096
"""No reply is nearly as long."""
_END: Final = b"\0"
_CLEAN: Final = "stream: OK"
_FOUND: Final = " FOUND"


class ClamavScanner:
    """Looks for viruses. An async context manager: inside it clamd was asked whether it is there."""

    def __init__(self, address: Address, *, timeout_s: float, required: bool, site: Site) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._required = required
        self._site = site

    async def __aenter__(self) -> Self:
        try:
            await self._ask([b"zPING\0"])
        except ProviderError as error:  # it may be loading its signatures
            self._warn("does not answer yet", error)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        return None

    async def scan(self, upload: Upload) -> bool:
        """Whether clamd finds nothing.

        :raises ProviderUnavailable: when it cannot be reached, and uploads need it.
        :raises ProviderTimedOut: when it needs too long.
        :raises ProviderBadReply: when it cannot say.
        """
        try:
            reply = await self._ask(_instream(upload.data))
        except ProviderUnavailable as error:
            if self._required:
                raise
            self._warn("is away, an upload is let in unseen", error)
            return True
        if reply == _CLEAN:
            return True
        if reply.endswith(_FOUND):
            name = reply.removeprefix("stream: ").removesuffix(_FOUND)
            self._site.logger.warning("[%s] an upload is refused: %s", self._site.section, name)
            return False
        raise ProviderBadReply(f"clamd cannot say: {reply}")

    async def _ask(self, parts: Iterable[bytes]) -> str:
        """Send a command and give the reply."""
        stream = await self._connected()
        try:
            with anyio.fail_after(self._timeout_s):
                async with stream:
                    return await _talk(stream, parts)
        except TimeoutError:
            raise ProviderTimedOut(f"clamd gave no answer within {self._timeout_s:g} s") from None
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise ProviderBadReply("clamd hung up without an answer") from error

    async def _connected(self) -> ByteStream:
        try:
            with anyio.fail_after(self._timeout_s):
                return await self._address.connect()
        except OSError as error:  # which a missed time limit is too
            raise ProviderUnavailable(f"clamd cannot be reached: {type(error).__name__}") from error

    def _warn(self, what: str, error: Exception) -> None:
        self._site.logger.warning("[%s] clamd %s: %s", self._site.section, what, error)


def _instream(data: bytes) -> Iterator[bytes]:
    yield b"zINSTREAM\0"
    for start in range(0, len(data), _CHUNK_BYTES):
        chunk = data[start : start + _CHUNK_BYTES]
        yield struct.pack("!I", len(chunk)) + chunk
    yield struct.pack("!I", 0)


async def _talk(stream: ByteStream, parts: Iterable[bytes]) -> str:
    with suppress(anyio.BrokenResourceError):  # it says why it listens no longer
        for part in parts:
            await stream.send(part)
    reply = b""
    while _END not in reply and len(reply) < _REPLY_BYTES:
        reply += await stream.receive()
    return printable(reply.partition(_END)[0].decode(errors="replace")).strip()
