"""A call that is open: what the client sends goes in, until one side ends it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from jackfield.audio.decode import Undecodable
from jackfield.contracts.call import Call, EndReason
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import ProtocolError, StoreUnavailable
from jackfield.web import call_commands
from jackfield.web.call_commands import message_text
from jackfield.web.call_messages import error_message
from jackfield.web.outbox import Outbox
from jackfield_transport_voice_socket import commands
from jackfield_transport_voice_socket.commands import ClientMessage, read_command
from jackfield_transport_voice_socket.leg import SilentLeg, SocketLeg

logger = logging.getLogger(__name__)

MAX_BAD_MESSAGES: Final = 50
"""So many in a row of one kind, and the call ends."""
_FAREWELL_S: Final = 2.0
"""For what still waits to be sent when the call has ended."""
_RESTART: Final = 1012
"""What a socket is closed with by a server that stops without saying so before, such as uvicorn by itself."""

_NO_STORE: Final = ProtocolError(503, "store_unavailable", "The message cannot be taken now.")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a client may send at once."""

    max_frame_bytes: int
    max_text_chars: int


class Conversation:
    """Takes what the client sends to the call. `decode` is None for a client that sends no sound."""

    def __init__(
        self,
        websocket: WebSocket,
        panel: Panel,
        reference: ConversationRef,
        bounds: Bounds,
        decode: Callable[[bytes], bytes] | None,
    ) -> None:
        self._websocket = websocket
        self._panel = panel
        self._reference = reference
        self._bounds = bounds
        self._decode = decode or _refuse_sound
        self._request_id = panel.request_id(websocket)
        self._bad_sounds = 0
        self._bad_commands = 0

    async def hold(self, call: Call, leg: SocketLeg | SilentLeg, outbox: Outbox) -> EndReason:
        """Talk until the call ends, and send all that is to be said of that."""
        self._call, self._leg, self._outbox = call, leg, outbox
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send)
            tasks.start_soon(self._listen)
            reason = await call.run()
            leg.close()
            outbox.put({"type": "ended", "reason": reason})
            outbox.finish()
            with anyio.move_on_after(_FAREWELL_S):
                await outbox.finished.wait()
            tasks.cancel_scope.cancel()
        return reason

    async def _send(self) -> None:
        try:
            await self._outbox.run(self._websocket.send)
        except WebSocketDisconnect:
            self._call.hang_up()
            self._outbox.finished.set()

    async def _listen(self) -> None:
        receive, hear = self._websocket.receive, self._hear
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._call.hang_up("shutdown" if message.get("code") == _RESTART else "hung_up")
                return
            data = message.get("bytes")
            if data is not None:
                hear(data)
            else:
                await self._obey(message["text"])

    def _hear(self, data: bytes) -> None:
        try:
            if len(data) > self._bounds.max_frame_bytes:
                raise _too_long()
            pcm = self._decode(data)
        except Undecodable as error:
            self._refuse_frame(ProtocolError(422, "bad_audio", str(error)))
        except ProtocolError as error:
            self._refuse_frame(error)
        else:
            self._bad_sounds = 0
            self._call.feed(pcm)

    def _refuse_frame(self, error: ProtocolError) -> None:
        self._bad_sounds += 1
        if self._bad_sounds == 1:  # once for all of them
            self._tell_error(error)
        elif self._bad_sounds == MAX_BAD_MESSAGES:
            self._call.hang_up("bad_audio")

    async def _obey(self, text: str) -> None:
        try:
            # Characters, not bytes: near enough, and nothing has to be encoded for it.
            if len(text) > self._bounds.max_frame_bytes:
                raise _too_long()
            await self._do(read_command(text))
        except ProtocolError as error:
            self._refuse_command(error)
        except StoreUnavailable as error:
            logger.warning("a typed message was refused: %s", error)
            self._refuse_command(_NO_STORE)
        else:
            self._bad_commands = 0

    def _refuse_command(self, error: ProtocolError) -> None:
        self._bad_commands += 1
        self._tell_error(error)
        if self._bad_commands == MAX_BAD_MESSAGES:
            self._call.hang_up()

    def _tell_error(self, error: ProtocolError) -> None:
        self._outbox.put(error_message(error, self._request_id, fatal=False))

    async def _do(self, command: ClientMessage) -> None:
        match command:
            case commands.Played(item=item, seconds=seconds):
                self._leg.report(item, seconds)
            case call_commands.Text():
                text = message_text(command, self._bounds.max_text_chars)
                await self._panel.limits.check_session(self._reference)
                self._call.text(text)
            case commands.Scenario(name=name):
                self._call.switch(name)
                self._outbox.put({"type": "scenario", "name": name})
            case commands.Start():
                raise _started()
            case _:
                self._steer(command)

    def _steer(
        self,
        command: call_commands.SpeechStart
        | call_commands.SpeechEnd
        | call_commands.Interrupt
        | call_commands.Mute
        | call_commands.Dtmf
        | call_commands.Stop,
    ) -> None:
        match command:
            case call_commands.SpeechStart():
                self._call.begin_speech()
            case call_commands.SpeechEnd():
                self._call.end_speech()
            case call_commands.Interrupt():
                self._call.interrupt()
            case call_commands.Mute(on=on):
                self._call.mute(on=on)
            case call_commands.Dtmf(digit=digit):
                self._call.digit(digit)
            case call_commands.Stop():
                self._call.hang_up()


def _refuse_sound(data: bytes) -> bytes:
    raise _no_sound()


def _no_sound() -> ProtocolError:
    return ProtocolError(422, "audio_not_expected", "The call was started with audio_in null.")


def _too_long() -> ProtocolError:
    return ProtocolError(413, "message_too_large", "The message is larger than is allowed.")


def _started() -> ProtocolError:
    return ProtocolError(422, "already_started", "The call has begun; start comes first and once.")
