"""A browser's WebRTC connection, and the call on it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

import anyio
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from jackfield.contracts.call import Call, EndReason
from jackfield.errors import ProtocolError
from jackfield_transport_speech_assistant.channel import EventChannel, drop_broken_texts
from jackfield_transport_speech_assistant.ice import IceServer
from jackfield_transport_speech_assistant.leg import BrowserLeg
from jackfield_transport_speech_assistant.offer import invalid_sdp, look_at, not_understood
from jackfield_transport_speech_assistant.reception import Reception
from jackfield_transport_speech_assistant.release import close, let_go_quietly
from jackfield_transport_speech_assistant.track import VoiceTrack

logger = logging.getLogger(__name__)

CONNECT_S: Final = 30.0
"""aiortc waits for a browser for ever."""

_CLOSE_S: Final = 4.0
_FAREWELL_S: Final = 1.0
"""For what is still to be told when the call has ended."""
_OPUS: Final = [one for one in RTCRtpSender.getCapabilities("audio").codecs if one.mimeType == "audio/opus"]

Ending = EndReason | Literal["not_connected"]
"""Why a session ended: as its call did, or because the browser never came."""


class Peer:
    """One connection: `answer` its offer, open a call with `leg`, `talk`, and `close` in any case.

    No server is asked for this end's own address but `ice_servers`.
    """

    def __init__(
        self,
        session_id: str,
        ice_servers: Sequence[IceServer] = (),
        *,
        connect_s: float = CONNECT_S,
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`check` counts a typed message, and raises ProtocolError for one too many."""
        servers = [RTCIceServer(list(one.urls), one.username, one.credential) for one in ice_servers]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._connection.on("connectionstatechange", self._changed)
        self._connection.on("datachannel", self._attach)
        self._track = VoiceTrack()
        self._sound = self._connection.addTransceiver(self._track)
        self._sound.setCodecPreferences(_OPUS)
        self._reception = Reception()
        self._reception.take_over(self._sound.receiver)
        self._channel = EventChannel(session_id, check)
        self._connect_s = connect_s
        self._came = anyio.Event()
        self._gone = anyio.Event()
        self._closed = False
        self.leg = BrowserLeg(self._track, self._channel)
        self.hears = False
        """Whether the browser sends sound."""
        self.speaks = False
        """Whether the browser takes sound."""

    async def answer(self, offer: str) -> str:
        """Give the answer to an offer, with all candidates of this end; both are SDP.

        :raises ProtocolError: 422 `invalid_sdp`.
        """
        found = look_at(offer)
        if not found.has_opus:
            raise invalid_sdp("Its audio section has no Opus.")
        self.hears, self.speaks, self._channel.expected = found.hears, found.speaks, found.has_channel
        try:
            return await self._negotiated(offer)
        except ProtocolError:
            raise
        except Exception as error:  # noqa: BLE001  # a parser of others, which meets a stranger's text
            raise not_understood(error) from None  # the cause may quote it

    async def talk(self, call: Call, ready: Callable[[], None]) -> Ending:
        """Wait until the browser comes, and hold the call until one side ends it.

        The browser may be given the answer when `ready` is called.
        """
        self.leg.call = self._channel.call = call
        ready()
        with anyio.move_on_after(self._connect_s):
            await self._came.wait()
        if not self._came.is_set() or self._gone.is_set():
            return "not_connected"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._channel.run)
            tasks.start_soon(self._channel.take_texts)
            tasks.start_soon(self._watch, call)
            self._reception.hear = call.feed
            reason = await call.run()
            await self._farewell(reason)
            tasks.cancel_scope.cancel()
        return reason

    def hang_up(self) -> None:
        """End the call, or the wait for its browser."""
        self.leg.call.hang_up()
        self._came.set()

    async def close(self) -> None:
        """Release everything: tracks, tasks, sockets. At once, and may be called twice."""
        if self._closed:
            return
        self._closed = True
        self.leg.close()
        self._track.stop()
        self._reception.close()
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
            await close(self._connection)
        self._channel.close()
        self._gone.set()
        self._came.set()

    async def _negotiated(self, offer: str) -> str:
        connection = self._connection
        if not self.speaks:
            self._sound.direction = "recvonly"
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        if connection.sctp is not None:
            drop_broken_texts(connection.sctp)
            let_go_quietly(connection.sctp)
        for transceiver in connection.getTransceivers():
            if transceiver is not self._sound:  # nothing is to be received that nobody looks at
                transceiver.direction = "inactive"
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    def _changed(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self._came.set()
        elif state in ("failed", "closed"):
            self._gone.set()
            self._came.set()

    def _attach(self, channel: RTCDataChannel) -> None:
        self._channel.attach(channel)

    async def _watch(self, call: Call) -> None:
        await self._gone.wait()
        call.hang_up()

    async def _farewell(self, reason: EndReason) -> None:
        self.leg.close()
        self._channel.say({"type": "ended", "reason": reason})
        self._channel.finish()
        if not self._gone.is_set():
            with anyio.move_on_after(_FAREWELL_S):
                await self._channel.sent()
