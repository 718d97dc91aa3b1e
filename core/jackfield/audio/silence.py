"""The silence that voices leave behind what they say."""

from __future__ import annotations

import sys
from array import array
from typing import Final

from jackfield.audio.pcm import WIDTH_BYTES

_QUIET: Final = 0.01
"""Of the loudest sample: what is below it (-40 dB) is silence."""
_KEPT_S: Final = 0.03
"""Of the silence at the end, so that the last sound dies away."""


class EndTrimmer:
    """Leaves out the silence at the end of PCM: signed 16-bit little-endian, mono, in whole samples.

    It holds silence back until it is known that sound follows. One end each; not for several threads.
    """

    def __init__(self, rate_hz: int) -> None:
        self._kept_bytes = int(rate_hz * _KEPT_S) * WIDTH_BYTES
        self._loudest = 0
        self._held = b""

    def feed(self, pcm: bytes) -> bytes:
        """Take the next sound; gives all up to its last sound that is loud, perhaps nothing."""
        samples = array("h", pcm)
        if sys.byteorder == "big":
            samples.byteswap()
        self._loudest = max(self._loudest, max(samples, default=0), -min(samples, default=0))
        if not self._loudest:
            return pcm  # nothing was said yet
        self._held += pcm
        quiet = self._loudest * _QUIET
        for at in range(len(samples) - 1, -1, -1):
            if abs(samples[at]) > quiet:
                end = len(self._held) - len(pcm) + (at + 1) * WIDTH_BYTES
                sound, self._held = self._held[:end], self._held[end:]
                return sound
        return b""

    def end(self) -> bytes:
        """Give what is left of the last sound, once no more comes."""
        rest, self._held = self._held[: self._kept_bytes], b""
        return rest
