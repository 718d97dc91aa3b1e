"""One call with the model: a connection, what is sent on it, and what comes."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from jackfield.contracts.llm import Message
from jackfield.contracts.realtime import RealtimeOutput, RealtimeSettings
from jackfield.errors import ProviderBadReply, ProviderTimedOut
from jackfield_realtime_openai.conversation import Conversation, ServerEvent, outputs_of
from jackfield_realtime_openai.failures import connection_error, lost, told_error
from jackfield_realtime_openai.messages import (
    RATE_HZ,
    ClientEvent,
    is_written_down,
    said,
    session_update,
    tool_output,
    truncate,
)
from jackfield_realtime_openai.options import RealtimeOptions

_CLOSING_S: Final = 1.0
_WIDTH_BYTES: Final = 2
_MOST_BYTES: Final = 30 * RATE_HZ * _WIDTH_BYTES
"""Sound that may wait for a slow connection; more is dropped, the oldest first."""
_LEAST_COMMIT_BYTES: Final = RATE_HZ * _WIDTH_BYTES // 10
"""Less than a tenth of a second is refused by the service, and nobody says anything in it."""


class OpenAIRealtimeSession:
    """Implements `RealtimeSession`, `TakesTurns` and `SaysPhrases`."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[ClientConnection]],
        options: RealtimeOptions,
        settings: RealtimeSettings,
        logger: logging.Logger,
        *,
        conversation: Conversation | None = None,
    ) -> None:
        self._connect = connect
        self._options = options
        self._settings = settings
        self._conversation = conversation or Conversation(logger)
        self._conversation.writes = is_written_down(options, settings)
        self._socket: ClientConnection | None = None
        self._tasks: TaskGroup | None = None
        self._unsent: deque[ClientEvent] = deque()
        self._sound = bytearray()
        self._sent = 0
        self._heard_bytes = 0
        """Sound since the last commit."""
        self._wanted = anyio.Event()

    @property
    def rate_hz(self) -> int:
        return RATE_HZ

    def push(self, pcm: bytes) -> None:
        self._sound += pcm
        self._heard_bytes += len(pcm)
        if len(self._sound) > _MOST_BYTES:
            del self._sound[: len(self._sound) - _MOST_BYTES]
        self._wanted.set()

    async def interrupt(self, heard_ms: int) -> None:
        responding = self._conversation.responding
        cut = self._conversation.interrupt(heard_ms)
        if responding:
            self._cancel(self._conversation.response)
        if cut is not None:
            self._send(truncate(*cut))

    async def update(self, settings: RealtimeSettings) -> None:
        self._settings = settings
        keep_voice = self._conversation.has_spoken
        self._send(session_update(self._options, settings, keep_voice=keep_voice))

    async def inject(self, text: str) -> None:
        self._send(said(Message("user", text)))
        self._respond()

    async def tool_result(self, call_id: str, result: str) -> None:
        self._send(tool_output(call_id, result))
        if self._conversation.answered(call_id):
            self._respond()

    async def commit(self) -> None:
        heard_bytes, self._heard_bytes = self._heard_bytes, 0
        if heard_bytes < _LEAST_COMMIT_BYTES:
            self._send({"type": "input_audio_buffer.clear"})
            return
        self._send({"type": "input_audio_buffer.commit"})
        self._respond()

    async def say(self, text: str) -> None:
        wish = f"Say the following to the user, word for word, and nothing else:\n{text}"
        self._ask({"instructions": wish})

    async def __aenter__(self) -> Self:
        try:
            with anyio.fail_after(self._options.connect_s):
                await self._open()
        except TimeoutError:
            raise ProviderTimedOut("The service did not open a session within connect_s.") from None
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._write)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        try:
            if tasks is not None:
                tasks.cancel_scope.cancel()
                await tasks.__aexit__(None, None, None)
        finally:
            await self._close()

    def __aiter__(self) -> AsyncIterator[RealtimeOutput]:
        return self._outputs()

    async def _outputs(self) -> AsyncGenerator[RealtimeOutput, None]:
        conversation = self._conversation
        while self._socket is not None:
            for output in outputs_of(conversation, await self._next()):
                yield output
            if conversation.unwanted:
                self._cancel(conversation.unwanted)
                conversation.unwanted = ""
            if conversation.may_answer:
                self._ask()

    async def _open(self) -> None:
        try:
            self._socket = await self._connect()
        except (OSError, InvalidHandshake, InvalidMessage) as error:
            raise connection_error(error) from None
        try:
            await self._greeted("session.created")
            await self._deliver(session_update(self._options, self._settings))
            await self._greeted("session.updated")
            for message in self._settings.history:
                await self._deliver(said(message))
        except BaseException:
            await self._close()
            raise

    async def _greeted(self, expected: str) -> None:
        while (event := await self._next())["type"] != expected:
            if event["type"] == "error":
                raise told_error(event.get("error"), opening=True)

    async def _next(self) -> ServerEvent:
        assert self._socket is not None
        try:
            event: object = json.loads(await self._socket.recv())
        except ConnectionClosed as error:
            raise lost(error) from None
        except ValueError:
            event = None
        if not isinstance(event, dict) or "type" not in event:
            raise ProviderBadReply("The service sent what is no event.")
        return event

    def _respond(self) -> None:
        """Ask for an answer, once no other is worked on."""
        if self._conversation.busy:
            self._conversation.owes_response = True
        else:
            self._ask()

    def _ask(self, wishes: dict[str, str] | None = None) -> None:
        request = self._send({"type": "response.create"} | ({"response": wishes} if wishes else {}))
        self._conversation.ask(request)

    def _cancel(self, response: str) -> None:
        """Cancel an answer by its name, for the next may begin meanwhile."""
        self._send({"type": "response.cancel", "response_id": response})

    def _send(self, event: ClientEvent) -> str:
        """Have an event sent, after all sound that was pushed before it; gives its id, which errors name."""
        self._take_sound()
        self._sent += 1
        name = f"event_{self._sent}"
        self._unsent.append(event | {"event_id": name})
        self._wanted.set()
        return name

    def _take_sound(self) -> None:
        if self._sound:
            audio = b64encode(self._sound).decode()
            self._sound.clear()
            self._unsent.append({"type": "input_audio_buffer.append", "audio": audio})

    async def _write(self) -> None:
        with suppress(ConnectionClosed):  # whoever reads is told
            while True:
                self._take_sound()
                while self._unsent:
                    await self._deliver(self._unsent[0])
                    self._unsent.popleft()
                if not self._sound:
                    self._wanted = anyio.Event()
                    await self._wanted.wait()

    async def _deliver(self, event: ClientEvent) -> None:
        assert self._socket is not None
        await self._socket.send(json.dumps(event))

    async def _close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await socket.close()
