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
from jackfield.errors import ProviderError, ProviderTimedOut
from jackfield_realtime_openai.calls import Calls
from jackfield_realtime_openai.failures import connection_error
from jackfield_realtime_openai.far_conversation import FarConversation
from jackfield_realtime_openai.messages import said, session_update
from jackfield_realtime_openai.options import RealtimeOptions
from jackfield_realtime_openai.session import OpenAIRealtimeSession

_AGAIN_S: Final = 5.0
_BACKOFF_S: Final = 0.5
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
        conversation = FarConversation(logger, self._ask_later)
        super().__init__(self._attach, options, settings, logger, conversation=conversation)
        self._calls = calls
        self._attached = attach
        self._sdp = sdp
        self._logger = logger
        self._call = ""
        self._answer = ""
        self._attached_again = anyio.Event()
        self._asks_again = False
        """Whether an answer that failed is to be asked for again."""

    @property
    def answer(self) -> str:
        return self._answer

    def push(self, pcm: bytes) -> None:
        """The service has the sound."""

    async def interrupt(self, heard_ms: int) -> None:
        responding = self._conversation.responding
        self._asks_again = False
        self._conversation.interrupt(heard_ms)
        if self._conversation.user_speaks:
            return  # the service falls silent itself, and knows what was heard
        if responding:
            self._cancel(self._conversation.response)
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
        told = True
        """Whether anything came since the connection was opened the last time."""
        while True:
            try:
                async with aclosing(super()._outputs()) as outputs:
                    async for output in outputs:
                        told = True
                        yield output
            except ProviderError:
                code = self._socket.close_code if self._socket is not None else None
                if code == _OVER:
                    self._call = ""  # it has ended
                    return
                if code is None or not told:
                    raise
                told = False
                await self._attach_again()

    async def _attach_again(self) -> None:
        """Open the connection beside the call once more, which goes on meanwhile.

        :raises ProviderError: when that fails.
        """
        self._logger.warning("the connection beside a call was lost")
        try:
            with anyio.fail_after(_AGAIN_S):
                self._socket = await self._attach()
        except TimeoutError:
            raise ProviderTimedOut("The connection beside a call was not opened again in time.") from None
        self._conversation.missed()
        self._attached_again.set()

    async def _write(self) -> None:
        while True:
            self._attached_again = anyio.Event()
            await super()._write()  # until the connection is lost
            await self._attached_again.wait()

    def _ask_later(self, failures: int) -> None:
        if self._tasks is not None:
            self._asks_again = True
            self._tasks.start_soon(self._ask_again, _BACKOFF_S * 2 ** (failures - 1))

    async def _ask_again(self, wait_s: float) -> None:
        await anyio.sleep(wait_s)
        if self._asks_again and not (self._conversation.busy or self._conversation.user_speaks):
            self._ask()

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
        if call:
            await self._calls.hang_up(call)
