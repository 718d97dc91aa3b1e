"""The backend over HTTP: its health, its answers and its spoken answers. Only its own origin is contacted."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import anyio
from yarl import URL

from jackfield.web.form import Part
from jackfield_transport_smart_proxy.options import BackendOptions

_MAX_REPLY_BYTES: Final = 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_KEEP_ALIVE_S: Final = 2.0
"""Less than servers usually keep an idle connection, so that no message meets one that is just closed."""
_CLOSE_S: Final = 2.0

_Body = aiohttp.FormData | bytes | None


class Unreachable(Exception):
    """Raised when the backend gave no whole answer. Says why in words that hold nothing of a user's."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the backend answered."""

    status: int
    body: Any = field(repr=False)
    """The JSON of the body; None when it is no JSON, or too large."""
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as it is passed on."""

    fields: Mapping[str, str] = field(repr=False)
    audio: Part | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Upstream:
    """The backend. An async context manager. Its calls raise `Unreachable`, and never retry."""

    def __init__(self, options: BackendOptions) -> None:
        whole = URL(options.url)
        self.url: Final = str(whole.with_user(None))
        """Its address without credentials."""
        self._base = URL(self.url)
        self._origin = self._base.origin()
        self._authorization = (
            aiohttp.BasicAuth(whole.user, whole.password or "").encode() if whole.user is not None else None
        )
        self._options = options
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._options.connect_timeout_s),
            headers={"Accept-Encoding": "identity", "User-Agent": "jackfield"},
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await client.close()

    async def is_healthy(self, limit_s: float) -> bool:
        """Ask whether it is there, healthy, and the service that is expected."""
        try:
            reply = await self._call("GET", self._path(self._options.probe_path), {}, None, limit_s)
        except Unreachable:
            return False
        if reply.status != 200 or not isinstance(reply.body, dict) or reply.body.get("status") != "healthy":
            return False
        expected = self._options.expect_service
        return expected is None or reply.body.get("service") == expected

    async def answer(self, message: Outgoing) -> Reply:
        """Pass a message on."""
        headers = message.headers
        body: _Body
        if message.audio is None:
            boundary = secrets.token_hex(16)
            headers = {**headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
            body = _written(message.fields, boundary)
        else:
            body = _form(message.fields, message.audio)
        return await self._call("POST", self._path("/chat"), headers, body, self._options.timeout_s)

    def own_path(self, url: str) -> str | None:
        """Give path and query of an address on the backend's own origin; None for any other address.

        :raises ValueError: for what is no address of the web.
        """
        whole = self._path("/chat").join(URL(url))
        if whole.scheme not in ("http", "https") or not whole.host:
            raise ValueError("no address of the web")
        return whole.raw_path_qs if whole.origin() == self._origin else None

    @asynccontextmanager
    async def clip(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Fetch a spoken answer in pieces."""
        url = URL(f"{self._origin}{path}", encoded=True)
        try:
            with anyio.fail_after(self._options.timeout_s):
                async with self._request("GET", url, {}, None) as response:
                    if response.status != 200:
                        raise Unreachable(f"status {response.status}")
                    yield response.content.iter_chunked(_CHUNK_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(_reason(error)) from error

    def _path(self, path: str) -> URL:
        return URL(f"{self.url.rstrip('/')}{path}", encoded=True)

    def _request(
        self, method: str, url: URL, headers: Mapping[str, str], body: _Body
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        assert self._client is not None, "the backend is asked inside the context manager"
        whole = dict(headers)
        if self._authorization is not None:
            whole.setdefault("Authorization", self._authorization)
        return self._client.request(method, url, headers=whole, data=body, allow_redirects=False)

    async def _call(
        self, method: str, url: URL, headers: Mapping[str, str], body: _Body, limit_s: float
    ) -> Reply:
        try:
            with anyio.fail_after(limit_s):
                async with self._request(method, url, headers, body) as response:
                    told = await _read(response)
                    return Reply(response.status, told, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise Unreachable(_reason(error)) from error


def _written(fields: Mapping[str, str], boundary: str) -> bytes:
    """Write fields as a form in one piece; the client's own writer needs four system calls for each."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    ]
    return f"{''.join(parts)}--{boundary}--\r\n".encode()


def _form(fields: Mapping[str, str], audio: Part) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for name, text in fields.items():
        form.add_field(name, text)
    form.add_field(
        "audio",
        io.BytesIO(audio.data),
        filename=audio.filename or None,
        content_type=audio.media_type or "application/octet-stream",
    )
    return form


async def _read(response: aiohttp.ClientResponse) -> Any:
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        data += chunk
        if len(data) > _MAX_REPLY_BYTES:
            response.close()
            return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _reason(error: Exception) -> str:
    return "time out" if isinstance(error, TimeoutError) else type(error).__name__
