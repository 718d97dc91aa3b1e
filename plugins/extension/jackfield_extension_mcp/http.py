"""Streamable HTTP, through the SDK's client: with the keys of the options, and bounded answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx2
from mcp.client.streamable_http import streamable_http_client

from jackfield.services.options import is_on_this_machine
from jackfield_extension_mcp.options import McpServer
from jackfield_extension_mcp.process import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams  # a type alone, which has no public name

_SILENCE_S: Final = 300.0
"""Seconds that an answer may send nothing; the time limit of a call ends it long before."""


@asynccontextmanager
async def http_streams(
    server: McpServer, *, refused: Callable[[int], None]
) -> AsyncGenerator[TransportStreams]:
    """Talk to the address of a server; gives its messages, and where to put those for it.

    `refused` is called with the status of each answer to a message that is an error.
    """
    assert server.url is not None

    async def look_at(response: httpx2.Response) -> None:
        if response.status_code >= 400 and response.request.method == "POST":
            refused(response.status_code)
        if response.headers.get("content-type", "").lower().startswith("application/json"):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(response.stream)

    headers = {name: value.get_secret_value() for name, value in server.headers.items()}
    client = httpx2.AsyncClient(
        headers={**headers, "Accept-Encoding": "identity"},  # what is not compressed has the size it seems
        timeout=httpx2.Timeout(server.connect_s, read=_SILENCE_S),
        trust_env=not is_on_this_machine(server.url),  # no proxy stands before this machine itself
        event_hooks={"response": [look_at]},
    )
    talk = streamable_http_client(server.url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES)
    async with client, talk as streams:
        yield streams


class _Bounded(httpx2.AsyncByteStream):
    """An answer that may not be longer than a message may be."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_MESSAGE_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx2.StreamError(f"The answer has more than {MAX_MESSAGE_BYTES} bytes.")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
