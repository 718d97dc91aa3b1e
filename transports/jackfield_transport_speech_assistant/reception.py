"""The sound of a browser, packet by packet: put in order, decoded, and given on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from jackfield.audio.decode import Undecodable
from jackfield.audio.opus import OpusDecoder
from jackfield.audio.resample import Resampler

if TYPE_CHECKING:
    from aiortc import RTCRtpReceiver
    from aiortc.rtp import RtpPacket

logger = logging.getLogger(__name__)

HEARING_HZ: Final = 16_000
"""Samples a second of the sound that is given on."""
MAX_WAITING: Final = 4
"""Packets that wait for one before them: 80 milliseconds. Then that one is taken for lost."""

_BUFFER: Final = "_RTCRtpReceiver__jitter_buffer"
_NUMBERS: Final = 1 << 16
_RESTART: Final = 100
"""A packet that is so many older than it should be begins a new count."""


class Reception:
    """Decodes each packet as it arrives, in its order, and has `hear` take the sound: PCM at `HEARING_HZ`.

    It stands where a receiver of aiortc has its jitter buffer, which would keep each packet until four more
    have come, for an even flow, and then give it to a thread. What listens here needs no even flow: it
    notices 80 milliseconds earlier that somebody has spoken or stopped. What was lost is left out.
    """

    hear: Callable[[bytes], None] | None = None
    """What comes while this is None is dropped."""

    def __init__(self) -> None:
        self._decoder: OpusDecoder | None = OpusDecoder()
        self._resampler: Resampler | None = Resampler(OpusDecoder.rate_hz, HEARING_HZ)
        self._waiting: dict[int, bytes] = {}
        self._next: int | None = None
        self._damaged = False

    def take_over(self, receiver: RTCRtpReceiver) -> None:
        """Hear what a receiver of Opus receives, which then gives its track nothing.

        :raises AttributeError: when this aiortc has no such buffer.
        """
        getattr(receiver, _BUFFER)
        setattr(receiver, _BUFFER, self)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Take a packet. The receiver is told to ask for nothing and to decode nothing."""
        number, data = packet.sequence_number, bytes(packet.payload)
        ahead = 0 if self._next is None else (number - self._next) % _NUMBERS
        if ahead >= _NUMBERS // 2:
            if _NUMBERS - ahead < _RESTART:
                return False, None  # it comes too late, or twice
            self._waiting.clear()
            ahead = 0
        if ahead == 0:
            self._next = number
        self._waiting[number] = data
        if len(self._waiting) > MAX_WAITING:
            self._next = min(self._waiting, key=self._distance)
        self._give_on()
        return False, None

    def close(self) -> None:
        """Hear nothing more, and release the memory of the decoder. May be called twice."""
        self.hear = self._decoder = self._resampler = None
        self._waiting.clear()

    def _distance(self, number: int) -> int:
        assert self._next is not None
        return (number - self._next) % _NUMBERS

    def _give_on(self) -> None:
        while self._next is not None and (data := self._waiting.pop(self._next, None)) is not None:
            self._next = (self._next + 1) % _NUMBERS
            if data and self.hear is not None:  # an empty one is padding
                self._decode(data, self.hear)

    def _decode(self, data: bytes, hear: Callable[[bytes], None]) -> None:
        if self._decoder is None or self._resampler is None:
            return
        try:
            pcm = self._resampler.feed(self._decoder.decode(data))
        except Undecodable:
            if not self._damaged:
                logger.info("a browser sends packets that are no Opus")
            self._damaged = True
            return
        if pcm:
            hear(pcm)
