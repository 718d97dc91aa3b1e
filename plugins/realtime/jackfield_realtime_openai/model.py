"""The model as the core sees it."""

from __future__ import annotations

import logging
import ssl
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from anyio import to_thread
from websockets.asyncio.client import ClientConnection, connect

from jackfield.contracts.realtime import RealtimeSettings
from jackfield.services import is_on_this_machine
from jackfield_realtime_openai.options import AzureRealtimeOptions, OpenAIRealtimeOptions
from jackfield_realtime_openai.session import OpenAIRealtimeSession

_PING_S: Final = 10.0
_CLOSING_S: Final = 0.05
"""For the service's answer to a farewell; nobody waits for more."""
_MOST_BYTES: Final = 16 << 20


class OpenAIRealtime:
    """Opens sessions. An async context manager: entering reads the certificates, if there are to be any."""

    def __init__(self, options: OpenAIRealtimeOptions | AzureRealtimeOptions, logger: logging.Logger) -> None:
        self._options = options
        self._place = options.place
        self._logger = logger
        scheme, rest = self._place.base_url.split("://", 1)
        self._is_secure = scheme == "https"
        self._url = f"{'wss' if self._is_secure else 'ws'}://{rest}/realtime"
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        if self._is_secure:
            self._tls = await to_thread.run_sync(ssl.create_default_context)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._tls = None

    def session(self, settings: RealtimeSettings) -> OpenAIRealtimeSession:
        return OpenAIRealtimeSession(self._connect, self._options, settings, self._logger)

    async def _connect(self) -> ClientConnection:
        return await self._socket(f"model={quote(self._place.model)}")

    async def _socket(self, query: str) -> ClientConnection:
        options = self._options
        proxy = options.proxy.get_secret_value() if options.proxy else None
        return await connect(
            f"{self._url}?{query}",
            additional_headers=self._place.headers,
            ssl=self._tls,
            proxy=proxy or (None if is_on_this_machine(self._url) else True),
            compression=None,
            open_timeout=options.connect_s,
            ping_interval=_PING_S,
            ping_timeout=options.silence_s,
            close_timeout=_CLOSING_S,
            max_size=_MOST_BYTES,
        )
