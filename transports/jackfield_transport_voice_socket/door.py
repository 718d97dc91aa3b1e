"""The route of a voice socket: from the handshake to an open call, and to the farewell."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import anyio
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from jackfield import ProtocolError, Site, StoreUnavailable
from jackfield.contracts.auth import UserId
from jackfield.contracts.call import CallRequest
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef
from jackfield.sockets import CODES_OF_REASONS, POLICY, accept, admitted, close_code, is_open
from jackfield.web.call_messages import error_message
from jackfield.web.outbox import Outbox
from jackfield_transport_voice_socket.commands import PROTOCOL, Start, read_command
from jackfield_transport_voice_socket.conversation import Bounds, Conversation
from jackfield_transport_voice_socket.events import StartedMessage
from jackfield_transport_voice_socket.leg import SilentLeg, SocketLeg
from jackfield_transport_voice_socket.sound import incoming, outgoing, shown

if TYPE_CHECKING:
    from jackfield_transport_voice_socket import VoiceSocketOptions

PATH: Final = "/voice"
_CLOSE_S: Final = 2.0
"""How long a client that does not read may hold up the closing."""

_NO_STORE: Final = ProtocolError(503, "store_unavailable", "The conversation cannot be reached now.")


class VoiceSocket:
    """The transport."""

    def __init__(self, options: VoiceSocketOptions, site: Site) -> None:
        self._options = options
        self._site = site

    def routes(self, panel: Panel) -> APIRouter:
        router = APIRouter()
        router.add_api_websocket_route(PATH, _Endpoint(panel, self._options, self._site).serve)
        return router


class _Endpoint:
    """What the route does, on one panel."""

    def __init__(self, panel: Panel, options: VoiceSocketOptions, site: Site) -> None:
        self._panel = panel
        self._options = options
        self._site = site

    async def serve(self, websocket: WebSocket) -> None:
        await accept(websocket)
        try:
            code = await self._serve(websocket)
        except ProtocolError as error:
            await self._refuse(websocket, error)
            raise  # so that it is counted
        except StoreUnavailable:
            await self._refuse(websocket, _NO_STORE)
            raise
        else:
            await _close(websocket, code)

    async def _serve(self, websocket: WebSocket) -> int:
        """Hold the call; gives the close code.

        :raises ProtocolError: when there is to be no call.
        """
        authenticated = await admitted(websocket, self._panel)
        if authenticated is not None:
            await self._panel.limits.check_user(authenticated)
        start = await self._start(websocket)
        reference = await self._reference(start, authenticated)
        return await self._talk(websocket, start, reference)

    async def _start(self, websocket: WebSocket) -> Start:
        with anyio.move_on_after(self._options.start_s):
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            text = message.get("text")
            if text is None:
                raise _no_start()
            if len(text) > self._options.max_frame_bytes:
                raise ProtocolError(413, "message_too_large", "The message is larger than is allowed.")
            start = read_command(text)
            if not isinstance(start, Start):
                raise _no_start()
            return start
        raise _too_late()

    async def _reference(self, start: Start, authenticated: UserId | None) -> ConversationRef:
        user = await self._user(start.user_id, authenticated)
        sessions = self._panel.sessions
        session_id = start.session_id or sessions.new_session_id(user)
        reference = ConversationRef(self._site.mount, user, session_id)
        if self._panel.settings.session_ids == "server" and not sessions.issued(reference):
            raise _unknown_session()
        await self._panel.limits.check_session(reference)
        return reference

    async def _user(self, claimed: str, authenticated: UserId | None) -> UserId:
        if authenticated is None:
            user = self._panel.claimed(claimed)
            if claimed:  # those without a name have only their address in common
                await self._panel.limits.check_user(user)
            return user
        if claimed and not self._panel.is_user(claimed, authenticated):
            raise ProtocolError(403, "user_mismatch", "user_id is not the user who signed in.")
        return authenticated

    async def _talk(self, websocket: WebSocket, start: Start, reference: ConversationRef) -> int:
        gave_up = False

        def give_up() -> None:
            nonlocal gave_up
            gave_up = True
            leg.call.hang_up()

        outbox = Outbox(self._options.max_waiting_bytes, give_up)
        leg = self._leg(start, outbox, self._panel.request_id(websocket))
        source = incoming(start.audio_in) if start.audio_in else None
        bounds = Bounds(self._options.max_frame_bytes, self._options.max_text_chars)
        conversation = Conversation(
            websocket, self._panel, reference, bounds, source.decode if source else None
        )
        request = self._request(start, reference, source.rate_hz if source else leg.rate_hz)
        outbox.put(self._started(websocket, start, reference))
        async with AsyncExitStack() as stack:
            stack.callback(leg.close)
            leg.call = await stack.enter_async_context(self._panel.calls.open(request, leg))
            reason = await conversation.hold(leg.call, leg, outbox)
        return POLICY if gave_up else CODES_OF_REASONS[reason]

    def _leg(self, start: Start, outbox: Outbox, request_id: str) -> SocketLeg | SilentLeg:
        if start.audio_out is None:
            return SilentLeg(outbox, request_id)
        sink = outgoing(start.audio_out)
        lead_s = self._options.lead_ms / 1000
        return SocketLeg(outbox, request_id, rate_hz=sink.rate_hz, encode=sink.encode, lead_s=lead_s)

    def _request(self, start: Start, reference: ConversationRef, rate_hz: int) -> CallRequest:
        return CallRequest(
            conversation=reference,
            transport=self._site.plugin,
            rate_hz=rate_hz,
            turns=start.turns if start.audio_in else "explicit",
            username=start.username,
            scenario=start.scenario,
            llm=start.llm,
            stt=start.stt,
            tts=start.tts,
            language=start.language,
            voice=start.voice.voice() if start.voice else None,
            greet=start.greet,
            listens=start.audio_in is not None,
            speaks=start.audio_out is not None,
        )

    def _started(self, websocket: WebSocket, start: Start, reference: ConversationRef) -> StartedMessage:
        return {
            "type": "started",
            "protocol": PROTOCOL,
            "call_id": self._panel.request_id(websocket),
            "session_id": reference.session,
            "audio_in": shown(start.audio_in),
            "audio_out": shown(start.audio_out),
            "turns": start.turns if start.audio_in else "explicit",
            "scenario": start.scenario,
        }

    async def _refuse(self, websocket: WebSocket, error: ProtocolError) -> None:
        """Say why there is no call: a browser cannot see how a handshake was refused."""
        message = error_message(error, self._panel.request_id(websocket), fatal=True)
        with anyio.move_on_after(_CLOSE_S):
            await websocket.send_json(message)
        await _close(websocket, close_code(error), error.code)


async def _close(websocket: WebSocket, code: int, reason: str = "") -> None:
    if is_open(websocket):
        with anyio.move_on_after(_CLOSE_S):
            await websocket.close(code, reason)


def _no_start() -> ProtocolError:
    return ProtocolError(422, "start_expected", "The first message must be start, in JSON.")


def _too_late() -> ProtocolError:
    return ProtocolError(408, "start_timeout", "No start came in time.")


def _unknown_session() -> ProtocolError:
    return ProtocolError(404, "session_not_found", "There is no such session, or it has expired.")
