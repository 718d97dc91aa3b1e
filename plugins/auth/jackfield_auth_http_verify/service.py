"""Asking the service, and understanding what it says."""

from __future__ import annotations

import json
import re
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from jackfield.contracts.auth import Credentials, Identity
from jackfield.errors import ProviderBadReply, ProviderTimedOut, ProviderUnavailable
from jackfield.services import refusal
from jackfield.text import CONTROL_CHARACTERS
from jackfield_auth_http_verify.memory import Answers

if TYPE_CHECKING:
    from jackfield_auth_http_verify import HttpVerifyOptions

MAX_TOKEN_CHARS: Final = 8192
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_SUBJECT_CHARS: Final = 128
MAX_REMEMBERED: Final = 10_000
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750; nothing else can stand in the header
_NOT_GOOD: Final = (401, 403)


class HttpVerifyAuth:
    """The plugin. Enter it around all use; it opens its connections when they are needed."""

    def __init__(self, options: HttpVerifyOptions) -> None:
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        ttl_s = options.cache_s
        # Apart, so that made-up tokens never crowd out the users who are here.
        self._good = Answers(ttl_s=ttl_s, most=MAX_REMEMBERED)
        self._bad = Answers(ttl_s=ttl_s, most=MAX_REMEMBERED)

    async def __aenter__(self) -> Self:
        headers = {name: value.get_secret_value() for name, value in self._options.extra_headers.items()}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._options.connections),
            timeout=aiohttp.ClientTimeout(total=self._options.time_limit_s),
            headers={"Accept": "application/json", **headers},
            cookie_jar=aiohttp.DummyCookieJar(),  # users share the connections, and must share nothing else
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def identify(self, credentials: Credentials) -> Identity | None:
        token = credentials.bearer or ""
        if len(token) > MAX_TOKEN_CHARS or not _TOKEN.fullmatch(token):
            return None
        for answers in (self._good, self._bad):
            known, identity = answers.get(token)
            if known:
                return identity
        identity = await self._ask(token)
        (self._good if identity else self._bad).put(token, identity)
        return identity

    def same_subject(self, claimed: str, subject: str) -> bool:
        return self._spelt(claimed) == subject

    async def _ask(self, token: str) -> Identity | None:
        assert self._session is not None, "the plugin was not entered"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._session.get(
                self._options.url, headers=headers, allow_redirects=False
            ) as response:
                status, data = response.status, await _read(response.content)
                named = {name.lower(): value for name, value in response.headers.items()}
        except TimeoutError as error:
            limit_s = self._options.time_limit_s
            raise ProviderTimedOut(f"the service did not answer within {limit_s:g} s") from error
        except aiohttp.ClientError as error:
            raise ProviderUnavailable(f"the service cannot be reached: {type(error).__name__}") from error
        if status in _NOT_GOOD:
            return None
        if status != 200:
            raise refusal(status, None, named)
        return self._understood(data)

    def _understood(self, data: bytes) -> Identity:
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            raise ProviderBadReply("the service answered 200 with what is not JSON") from None
        found = body.get(self._options.subject_field) if isinstance(body, dict) else None
        if isinstance(found, int) and not isinstance(found, bool):
            found = str(found)
        if not isinstance(found, str) or not _is_subject(found):
            field = self._options.subject_field
            raise ProviderBadReply(f'the service answered 200 without a user\'s id in "{field}"')
        name = body.get(self._options.name_field)
        return Identity(self._spelt(found), name if isinstance(name, str) else None)

    def _spelt(self, subject: str) -> str:
        return subject.lower() if self._options.ignore_case else subject


async def _read(content: aiohttp.StreamReader) -> bytes:
    data = bytearray()
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise ProviderBadReply(f"the service answered with more than {MAX_ANSWER_BYTES} bytes")
    return bytes(data)


def _is_subject(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return 0 < len(text) <= MAX_SUBJECT_CHARS and not CONTROL_CHARACTERS.search(text)
