"""Intercom: a WebSocket that takes and gives sound, 16 kHz PCM in binary messages, and hardly more."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

import anyio
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from jackfield import Options, PluginInfo, Site, hookimpl
from jackfield.audio.playback import Playback
from jackfield.contracts.call import Call, CallEvent, CallRequest, ReplyText
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef

RATE_HZ: Final = 16_000
MOST_UNSENT: Final = 500


class IntercomLeg(Playback):
    """Plays over the WebSocket. It is the line of its own playback."""

    call: Call

    def __init__(self) -> None:
        super().__init__(RATE_HZ, self)
        self._put, self.messages = anyio.create_memory_object_stream[bytes | str](MOST_UNSENT)

    def send(self, pcm: bytes) -> None:
        self._queue(pcm)

    def sent(self, item: int) -> None:
        pass  # the client need not know

    def forget(self) -> None:
        self._queue(json.dumps({"clear": True}))

    def played(self, item: int) -> None:
        self.call.played(item)

    def tell(self, event: CallEvent) -> None:
        if isinstance(event, ReplyText):
            self._queue(json.dumps({"text": event.text}))

    def _queue(self, message: bytes | str) -> None:
        try:
            self._put.send_nowait(message)
        except anyio.WouldBlock:
            self.call.hang_up()  # the client does not read


class Intercom:
    """The transport."""

    def __init__(self, site: Site) -> None:
        self._mount = site.mount

    def routes(self, panel: Panel) -> APIRouter:
        router = APIRouter()

        async def intercom(socket: WebSocket) -> None:
            panel.check_origin(socket)
            user = await panel.identify(socket)
            if user is None:
                await panel.limits.check_address(socket)
                user = panel.claimed("somebody")
            conversation = ConversationRef(self._mount, user, panel.sessions.new_session_id(user))
            await socket.accept()
            leg = IntercomLeg()
            request = CallRequest(conversation, "intercom", rate_hz=RATE_HZ)
            async with panel.calls.open(request, leg) as leg.call, anyio.create_task_group() as tasks:
                tasks.start_soon(_listen, socket, leg.call)
                tasks.start_soon(_speak, socket, leg)
                await leg.call.run()
                leg.close()
                tasks.cancel_scope.cancel()

        router.add_api_websocket_route("/intercom", intercom)
        return router


async def _listen(socket: WebSocket, call: Call) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        call.feed(message.get("bytes") or b"")
    call.hang_up()


async def _speak(socket: WebSocket, leg: IntercomLeg) -> None:
    with suppress(WebSocketDisconnect):  # the client has gone, as `_listen` hears too
        async for message in leg.messages:
            await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo("transport", "intercom", "Sound in and out over a WebSocket.")


@hookimpl
def make_transport(options: Options, site: Site) -> Intercom:
    return Intercom(site)
