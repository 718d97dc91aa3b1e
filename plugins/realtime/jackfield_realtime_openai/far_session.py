"""The session beside a call whose sound goes between the browser and the service."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Final

import anyio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidHandshake, InvalidMessage

from jackfield.contracts.realtime import RealtimeOutput, RealtimeSettings
from jackfield.errors import ProviderError
from jackfield_realtime_openai.calls import Calls
from jackfield_realtime_openai.failures import connection_error
from jackfield_realtime_openai.far_conversation import FarConversation
from jackfield_realtime_openai.messages import said, session_update
from jackfield_realtime_openai.options import RealtimeOptions
from jackfield_realtime_openai.session import OpenAIRealtimeSession

_HANG_UP_S: Final = 3.0
_OVER: Final = 1000
"""The code of a connection that is closed because its call ended."""


class OpenAIFarSession(OpenAIRealtimeSession):
    """Implements `ForwardedSession`, `TakesTurns` and `SaysPhrases`."""

    _conversation: FarConversation

    def __init__(
        self,
        calls: Calls,
        attach: Callable[[str], Awaitable[ClientConnection]],
        options: RealtimeOptions,
        sdp: str,
        settings: RealtimeSettings,
        logger: logging.Logger,
    ) -> None:
        """`attach` opens the connection beside a call."""
        super().__init__(self._attach, options, settings, logger, conversation=FarConversation(logger))
        self._calls = calls
        self._attached = attach
        self._sdp = sdp
        self._logger = logger
        self._call = ""
        self._answer = ""

    @property
    def answer(self) -> str:
        return self._answer

    def push(self, pcm: bytes) -> None:
        """The service has the sound."""

    async def interrupt(self, heard_ms: int) -> None:
        responding = self._conversation.responding
        response = self._conversation.response
        self._conversation.interrupt(heard_ms)
        if self._conversation.user_speaks:
            return  # the service falls silent itself, and knows what was heard
        if responding:
            self._send({"type": "response.cancel", "response_id": response})
        self._send({"type": "output_audio_buffer.clear"})

    async def update(self, settings: RealtimeSettings) -> None:
        keep_voice = self._conversation.has_spoken
        self._send(session_update(self._options, settings, keep_voice=keep_voice, forwarded=True))

    async def commit(self) -> None:
        self._send({"type": "input_audio_buffer.commit"})
        self._respond()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(exc_type, exc, tb)
        finally:
            await self._hang_up()

    async def _outputs(self) -> AsyncGenerator[RealtimeOutput, None]:
        try:
            async with aclosing(super()._outputs()) as outputs:
                async for output in outputs:
                    yield output
        except ProviderError:
            if self._socket is None or self._socket.close_code != _OVER:
                raise
            self._call = ""  # it has ended

    async def _open(self) -> None:
        self._answer, self._call = await self._calls.begin(self._sdp, self._settings)
        try:
            self._socket = await self._attach()
            for message in self._settings.history:
                await self._deliver(said(message))
        except BaseException:
            await self._close()
            await self._hang_up()
            raise

    async def _attach(self) -> ClientConnection:
        try:
            return await self._attached(self._call)
        except (OSError, InvalidHandshake, InvalidMessage) as error:
            raise connection_error(error) from None

    async def _hang_up(self) -> None:
        call, self._call = self._call, ""
        if not call:
            return
        with anyio.move_on_after(_HANG_UP_S, shield=True):
            try:
                await self._calls.end(call)
            except ProviderError as error:  # it has ended, or will when its time is up
                self._logger.warning("the service did not hang up: %s", error)
