"""PCM as everywhere in Jackfield: signed 16-bit little-endian, mono, at a stated rate."""

from __future__ import annotations

from typing import Final

WIDTH_BYTES: Final = 2
"""Bytes of one sample."""


def duration_s(pcm: bytes | bytearray, rate_hz: int) -> float:
    """Seconds that the sound lasts."""
    return len(pcm) / (WIDTH_BYTES * rate_hz)
