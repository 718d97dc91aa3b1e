"""The WebSocket of a telephone call: from Twilio's handshake to the farewell."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from jackfield.audio.mulaw import RATE_HZ, decode_mulaw
from jackfield.contracts.call import Call, CallRequest, EndReason
from jackfield.contracts.panel import Metric, Panel
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import ProtocolError, StoreUnavailable
from jackfield.plugin import Site
from jackfield.sockets import CODES_OF_REASONS, INTERNAL, POLICY, close_code, is_open
from jackfield.web.outbox import Outbox
from jackfield_transport_speech_assistant.cast import Cast
from jackfield_transport_speech_assistant.telephone.admission import Party, PhoneAdmission
from jackfield_transport_speech_assistant.telephone.frames import Digit, Frame, Mark, Media, Started, Stopped
from jackfield_transport_speech_assistant.telephone.incoming import Incoming, violation
from jackfield_transport_speech_assistant.telephone.leg import PhoneLeg
from jackfield_transport_speech_assistant.telephone.options import TelephoneOptions
from jackfield_transport_speech_assistant.telephone.signature import Signatures, check_signed

logger = logging.getLogger(__name__)

_FAREWELL_S: Final = 2.0
"""How long a stream that does not read may hold up the end."""
_RESTART: Final = 1012
"""What a socket is closed with by a server that stops."""


class Talk(Protocol):
    """A call that is open and waits to be held."""

    async def __call__(self) -> EndReason: ...


class Holder(Protocol):
    """Who else has a hand in calls that belong to a session of a user."""

    async def hold(self, party: Party, request: CallRequest, call: Call, talk: Talk) -> EndReason:
        """Hold the call that `request` began, by `talk`; gives what that gave.

        :raises ProtocolError: when the session is over or has begun already.
        """
        ...


@dataclass(frozen=True, slots=True)
class MediaStreams:
    """The route of streams."""

    panel: Panel
    options: TelephoneOptions
    site: Site
    admission: PhoneAdmission
    signatures: Signatures | None
    cast: Cast
    bad_frames: Metric
    holder: Holder

    async def serve(self, websocket: WebSocket, scenario: str) -> None:
        """Hold one call. What has to be refused before a word is, in the handshake."""
        await check_signed(self.signatures, self.panel.limits, websocket)
        known = self.cast.find(scenario)
        await websocket.accept()
        stream = _Stream(websocket, self, Incoming(websocket, self.bad_frames))
        try:
            code = await stream.serve(known)
        except WebSocketDisconnect:
            return
        except (ProtocolError, StoreUnavailable) as error:
            await _close(websocket, _code(error), getattr(error, "code", ""))
            raise  # so that it is counted
        await _close(websocket, code)

    def request(self, party: Party, scenario: str) -> CallRequest:
        """What the core is asked for."""
        session = party.session or self.panel.sessions.new_session_id(party.user)
        return CallRequest(
            conversation=ConversationRef(self.site.mount, party.user, session),
            transport=self.site.plugin,
            rate_hz=RATE_HZ,
            scenario=self.cast.played(scenario),
        )


@dataclass(slots=True)
class _Stream:
    """One stream."""

    websocket: WebSocket
    door: MediaStreams
    incoming: Incoming
    sid: str = ""
    offence: ProtocolError | None = None
    gave_up: bool = False
    call: Call = field(init=False)
    leg: PhoneLeg = field(init=False)

    async def serve(self, scenario: str) -> int:
        """Hold the call; gives the close code.

        :raises ProtocolError: when there is to be no call, or the client breaks the protocol.
        """
        door = self.door
        started = await self.incoming.started()
        if door.options.account_sid is not None and started.account:
            _check_account(started, door.options.account_sid.get_secret_value())
        party = await door.admission.take(started.token, started.call)
        self.sid = started.stream
        outbox = Outbox(door.options.max_waiting_bytes, self._give_up)
        self.leg = PhoneLeg(outbox, self.sid)
        async with AsyncExitStack() as stack:
            stack.callback(self.leg.close)
            request = door.request(party, scenario)
            self.call = self.leg.call = await stack.enter_async_context(
                door.panel.calls.open(request, self.leg)
            )
            reason = await self._hold(party, request, outbox)
        if self.offence is not None:
            raise self.offence
        return POLICY if self.gave_up else CODES_OF_REASONS[reason]

    async def _hold(self, party: Party, request: CallRequest, outbox: Outbox) -> EndReason:
        async def talk() -> EndReason:
            return await self._talk(outbox)

        session = request.conversation.session
        logger.info("telephone call began; session_id=%s scenario=%s", session, request.scenario)
        if party.session:
            reason = await self.door.holder.hold(party, request, self.call, talk)
        else:
            reason = await talk()
        logger.info("telephone call ended; session_id=%s reason=%s", session, reason)
        return reason

    async def _talk(self, outbox: Outbox) -> EndReason:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send, outbox)
            tasks.start_soon(self._listen)
            reason = await self.call.run()
            self.leg.close()
            outbox.finish()
            with anyio.move_on_after(_FAREWELL_S):
                await outbox.finished.wait()
            tasks.cancel_scope.cancel()
        return reason

    def _give_up(self) -> None:
        self.gave_up = True
        self.call.hang_up()

    async def _send(self, outbox: Outbox) -> None:
        async def send(message: Message) -> None:
            if "bytes" in message:  # of sound, so that the outbox can forget it; all frames are text
                message["text"] = message.pop("bytes").decode()
            await self.websocket.send(message)

        try:
            await outbox.run(send)
        except WebSocketDisconnect:
            self.call.hang_up()
            outbox.finished.set()

    async def _listen(self) -> None:
        """Take what the telephone sends, until it hangs up."""
        call = self.call
        try:
            while True:
                self._take(await self.incoming.next())
        except WebSocketDisconnect as left:
            call.hang_up("shutdown" if left.code == _RESTART else "hung_up")
        except ProtocolError as error:
            self.offence = error
            call.hang_up("bad_audio" if error.status == 422 else "hung_up")

    def _take(self, frame: Frame) -> None:
        if frame.stream not in ("", self.sid):
            raise violation("The frame is of another stream.")
        match frame:
            case Media(sound=sound):
                if sound is not None:
                    self.call.feed(decode_mulaw(sound))
            case Mark(name=name):
                self.leg.marked(name)
            case Digit(digit=digit):
                self.call.digit(digit)
            case Stopped():
                self.call.hang_up()
            case Started():
                raise violation("The stream has started already.")


def _check_account(started: Started, account: str) -> None:
    if started.account != account:
        raise ProtocolError(403, "foreign_account", "The stream is of another account.")


def _code(error: ProtocolError | StoreUnavailable) -> int:
    if isinstance(error, StoreUnavailable):
        return INTERNAL
    return close_code(error) if error.status >= 500 else POLICY


async def _close(websocket: WebSocket, code: int, reason: str = "") -> None:
    if is_open(websocket):
        with anyio.move_on_after(_FAREWELL_S):
            await websocket.close(code, reason)
