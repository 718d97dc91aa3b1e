"""A browser's end of a call over WebRTC that costs little: packets made beforehand, nothing decoded.

The connection is aiortc's. Once it stands, packets go into its socket and come out of its decryption without
aiortc's loops, threads and codecs, so that callers do not take the processor from the server they call.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio
import httpx
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

SILENCE: Final = b"\xf8\xff\xfe"
"""A packet of Opus in which there is nothing to hear; what the server sends while it is silent."""
_TICKS: Final = 960
_CONNECT_S: Final = 30.0
_HEADER: Final = struct.Struct("!BBHII")


class _Nothing(MediaStreamTrack):
    """A microphone that never gives anything, so that the sender rests."""

    kind = "audio"

    async def recv(self) -> Any:
        await anyio.sleep_forever()


class BrowserLine:
    """One connection. `sound` is called for each packet that can be heard, `message` for what is told."""

    def __init__(self, sound: Callable[[], None], message: Callable[[str], None] | None = None) -> None:
        self.over = anyio.Event()
        """Set when the connection is gone."""
        self.session = ""
        self._sound = sound
        self._ready = anyio.Event()
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection.on("connectionstatechange", self._changed)
        self._connection.addTrack(_Nothing())
        self._channel = None if message is None else self._connection.createDataChannel("events")
        if self._channel is not None and message is not None:
            self._channel.on("message", message)
            self._channel.on("open", self._changed)

    async def dial(self, client: httpx.AsyncClient, place: str) -> None:
        """Begin a session at a speech assistant, `place` being its address, and connect.

        :raises OSError: when that does not come about.
        """
        connection = self._connection
        await connection.setLocalDescription(await connection.createOffer())
        try:
            session = await _posted(client, f"{place}/realtime/session", {})
            self.session = session["session_id"]
            offer = {
                "session_id": self.session,
                "client_secret": session["client_secret"],
                "sdp": connection.localDescription.sdp,
            }
            answer = await _posted(client, f"{place}/realtime/signal", offer)
        except httpx.HTTPError as error:
            raise OSError(f"no session: {error!r}") from error
        await connection.setRemoteDescription(RTCSessionDescription(answer["sdp_answer"], "answer"))
        with anyio.fail_after(_CONNECT_S):
            await self._ready.wait()
        if connection.connectionState != "connected":
            raise OSError(f"the connection is {connection.connectionState}")
        self._take_over()

    def _take_over(self) -> None:
        """Go round aiortc's loops; it has no other way in."""
        transceiver = self._connection.getTransceivers()[0]
        dtls = transceiver.sender.transport
        pair = next(iter(dtls.transport._connection._nominated.values()))
        self._sendto, self._address = pair.protocol.transport.sendto, pair.remote_addr
        self._protect = dtls._tx_srtp.protect
        self._payload_type = transceiver._codecs[0].payloadType
        self._stream = transceiver.sender._ssrc
        self._packets = 0
        dtls._handle_rtp_data = self._hear  # type: ignore[method-assign]  # one call before it would decode

    async def _hear(self, data: bytes, arrival_time_ms: int) -> None:
        if not data.endswith(SILENCE):
            self._sound()

    def send(self, packet: bytes) -> None:
        """Send 20 milliseconds of sound, Opus."""
        if self.over.is_set():
            return
        number = self._packets = self._packets + 1
        header = _HEADER.pack(
            0x80, self._payload_type, number & 0xFFFF, number * _TICKS & 0xFFFFFFFF, self._stream
        )
        self._sendto(self._protect(header + packet), self._address)

    def command(self, message: Mapping[str, object]) -> None:
        """Tell the server something."""
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(json.dumps(message))

    async def hang_up(self) -> None:
        """Close the connection as a page does that is left. May be called twice."""
        self.over.set()
        await self._connection.close()

    async def vanish(self) -> None:
        """Be gone without a word, as with a cable that is cut."""
        self.over.set()
        dtls = self._connection.getTransceivers()[0].sender.transport
        for protocol in dtls.transport._connection._protocols:
            protocol.transport.abort()
        await self._connection.close()

    def _changed(self) -> None:
        state = self._connection.connectionState
        if state in ("failed", "closed"):
            self.over.set()
            self._ready.set()
        elif state == "connected" and (self._channel is None or self._channel.readyState == "open"):
            self._ready.set()


async def _posted(client: httpx.AsyncClient, address: str, body: Mapping[str, object]) -> dict[str, Any]:
    response = await client.post(address, json=body)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer
