"""The sound of a call on its way to a browser: a track that gives a packet of Opus every 20 milliseconds."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any, Final

import anyio
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

from jackfield.audio.opus import PACKET_S, OpusEncoder
from jackfield.audio.pcm import WIDTH_BYTES

RATE_HZ: Final = 24_000
"""Samples a second of the sound that is given to it: voices seldom have more."""

_CLOCK_HZ: Final = 48_000
_CLOCK: Final = Fraction(1, _CLOCK_HZ)
_TICKS: Final = round(_CLOCK_HZ * PACKET_S)
_FRAME_BYTES: Final = round(RATE_HZ * PACKET_S) * WIDTH_BYTES
_SILENCE: Final = b"\xf8\xff\xfe"
"""A packet of Opus that is 20 milliseconds of nothing (RFC 6716, 3.1: CELT, one frame)."""
_TAIL_PACKETS: Final = 10
"""So many packets of silence follow the sound, which push it through the listener's buffer; then it rests."""
_REST_S: Final = 0.4
"""From packet to packet while it rests, as Opus has it for silence (RFC 7587, 3.1.3)."""
_LATE_S: Final = 0.2
"""So late, what was missed is left out: sent all at once it would only wait at the listener's."""


class VoiceTrack(MediaStreamTrack):
    """Plays what is put into it at the speed of sound, and silence where there is nothing.

    It gives packets and not frames: aiortc encodes frames in a thread, which costs more than the encoding,
    and encodes silence too. In a longer silence there is hardly a packet, and sound that ends it is played
    at once.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._encoder: OpusEncoder | None = OpusEncoder(RATE_HZ)
        self._sound = bytearray()
        self._sent_packets = 0
        """Packets up to now, with those that were left out."""
        self._silent_packets = 0
        """Those of silence since the last sound."""
        self._wanted = anyio.Event()
        self._began_s = 0.0
        """When the first packet was due, by the event loop's clock."""

    def put(self, pcm: bytes) -> None:
        """Add sound, signed 16-bit little-endian, mono, at `RATE_HZ`."""
        self._sound += pcm
        self._wanted.set()

    def drop(self) -> None:
        """Forget what was not sent yet."""
        self._sound.clear()

    async def recv(self) -> Packet[Any]:
        """Give the next packet when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._due()
        packet = Packet(self._next())
        packet.pts = self._sent_packets * _TICKS
        packet.time_base = _CLOCK
        self._sent_packets += 1
        return packet

    def stop(self) -> None:
        """End it. May be called twice."""
        self.drop()
        self._encoder = None  # it holds threads as long as it lives
        super().stop()

    async def _due(self) -> None:
        now = asyncio.get_running_loop().time
        if not self._sent_packets:
            self._began_s = now()
        if self._silent_packets >= _TAIL_PACKETS and not self._sound:
            await self._rest()
            self._sent_packets = max(self._sent_packets, int((now() - self._began_s) / PACKET_S))
        early_s = self._began_s + self._sent_packets * PACKET_S - now()
        if early_s > 0:
            await anyio.sleep(early_s)
        elif early_s < -_LATE_S:
            self._sent_packets += int(-early_s / PACKET_S)

    async def _rest(self) -> None:
        """Wait for sound, but not for longer than a listener should be without a packet."""
        self._wanted = anyio.Event()
        with anyio.move_on_after(_REST_S - PACKET_S):
            await self._wanted.wait()

    def _next(self) -> bytes:
        if not self._sound or self._encoder is None:
            self._silent_packets += 1
            return _SILENCE
        self._silent_packets = 0
        pcm = bytes(self._sound[:_FRAME_BYTES])
        del self._sound[:_FRAME_BYTES]
        return self._encoder.encode(pcm)[0]
