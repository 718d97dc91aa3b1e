"""Opus packets without a container, as devices and browsers send them over a wire, a packet a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jackfield.audio.decode import Undecodable
from jackfield.audio.pcm import WIDTH_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

OPUS_RATES_HZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
"""Rates that the encoder takes. A decoder gives whichever it likes, whatever was encoded."""
PACKET_S: Final = 0.02
"""Sound in each packet that is made."""
MAX_PACKET_BYTES: Final = 1275 * 6
"""Longest packet: 120 ms in frames of 20 ms."""


class OpusEncoder:
    """Makes a packet of every 20 milliseconds. About 0.2 ms of work each. One stream each."""

    def __init__(self, rate_hz: int, *, bit_rate: int = 32_000) -> None:
        """:raises ValueError: for a rate that is not one of `OPUS_RATES_HZ`."""
        if rate_hz not in OPUS_RATES_HZ:
            raise ValueError(f"Opus is made from sound at one of {OPUS_RATES_HZ} Hz; got {rate_hz}")
        from av.codec.context import CodecContext

        context = CodecContext.create("libopus", "w")
        context.sample_rate = rate_hz
        context.layout = "mono"
        context.format = "s16"
        context.bit_rate = bit_rate
        context.options = {"application": "voip", "frame_duration": f"{PACKET_S * 1000:g}"}
        context.open()
        self._context = context
        self._rate_hz = rate_hz
        self._samples = round(rate_hz * PACKET_S)
        self._made_samples = 0

    def encode(self, pcm: bytes) -> Sequence[bytes]:
        """Give the packets of the sound; silence fills up the last one."""
        from av.audio.frame import AudioFrame

        size = self._samples * WIDTH_BYTES
        packets: list[bytes] = []
        for start in range(0, len(pcm), size):
            frame = AudioFrame(format="s16", layout="mono", samples=self._samples)
            frame.sample_rate = self._rate_hz
            frame.pts = self._made_samples
            plane = frame.planes[0]
            plane.update(pcm[start : start + size].ljust(plane.buffer_size, b"\0"))  # planes are padded
            self._made_samples += self._samples
            packets += map(bytes, self._context.encode(frame))
        return packets


class OpusDecoder:
    """Makes PCM, signed 16-bit little-endian, mono, at `rate_hz`, of packets. One stream each."""

    rate_hz: Final = 48_000

    def __init__(self) -> None:
        from av.codec.context import CodecContext

        self._context = CodecContext.create("libopus", "r")
        self._context.sample_rate = self.rate_hz
        self._context.layout = "mono"
        self._context.format = "s16"

    def decode(self, packet: bytes) -> bytes:
        """Give the sound of a packet; a packet lasts 120 milliseconds at most.

        :raises Undecodable: for bytes that are none. The next packet may be decoded all the same.
        """
        from av.error import FFmpegError
        from av.packet import Packet

        if not packet or len(packet) > MAX_PACKET_BYTES:  # an empty one would mean the end of the stream
            raise Undecodable(f"{len(packet)} bytes are no packet of Opus.")
        try:
            frames = self._context.decode(Packet(packet))
        except FFmpegError as error:
            raise Undecodable("The packet of Opus is damaged.") from error
        return b"".join(bytes(memoryview(frame.planes[0])[: frame.samples * WIDTH_BYTES]) for frame in frames)
