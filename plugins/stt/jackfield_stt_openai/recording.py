"""From PCM to what is uploaded."""

from __future__ import annotations

import io
import sys
import wave
from array import array
from typing import Final

from jackfield.contracts.stt import STT_RATE_HZ

_WIDTH_BYTES: Final = 2
_FULL_SCALE: Final = 32_768
_SHORTEST_S: Final = 0.1
"""OpenAI refuses less, and nobody says anything in it."""
_PART_BYTES: Final = STT_RATE_HZ // 10 * _WIDTH_BYTES


def has_sound(pcm: bytes, silence: float) -> bool:
    """Whether any sample of an utterance is louder than `silence`, of 1. Quick where somebody speaks."""
    if len(pcm) < _SHORTEST_S * STT_RATE_HZ * _WIDTH_BYTES:
        return False
    limit = silence * _FULL_SCALE
    for at in range(0, len(pcm), _PART_BYTES):
        samples = array("h", pcm[at : at + _PART_BYTES])
        if sys.byteorder == "big":
            samples.byteswap()
        if max(samples) > limit or -min(samples) > limit:
            return True
    return False


def as_wav(pcm: bytes) -> bytes:
    """A WAV file of an utterance."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(_WIDTH_BYTES)
        writer.setframerate(STT_RATE_HZ)
        writer.writeframes(pcm)
    return file.getvalue()
