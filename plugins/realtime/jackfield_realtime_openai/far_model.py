"""The model as browsers may reach it themselves."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection

from jackfield.contracts.realtime import ClientSecret, RealtimeSettings
from jackfield_realtime_openai.calls import Calls
from jackfield_realtime_openai.far_session import OpenAIFarSession
from jackfield_realtime_openai.model import OpenAIRealtime
from jackfield_realtime_openai.options import OpenAIRealtimeOptions


class OpenAIFarRealtime(OpenAIRealtime):
    """Implements `ForwardsOffers` and `GivesSecrets`, too."""

    def __init__(self, options: OpenAIRealtimeOptions, logger: logging.Logger) -> None:
        super().__init__(options, logger)
        self._account = options
        self._calls = Calls(options, logger)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self._calls.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self._calls.__aexit__(exc_type, exc, tb)
        finally:
            await super().__aexit__(exc_type, exc, tb)

    def forward_offer(self, sdp: str, settings: RealtimeSettings) -> OpenAIFarSession:
        return OpenAIFarSession(self._calls, self._attach, self._account, sdp, settings, self._logger)

    async def client_secret(self, settings: RealtimeSettings, ttl_s: float) -> ClientSecret:
        return await self._calls.secret(settings, ttl_s)

    async def _attach(self, call: str) -> ClientConnection:
        return await self._socket(f"call_id={quote(call, safe='')}")
