"""Speech of people that ends at a known moment."""

from __future__ import annotations

from typing import Final

import numpy as np

from bench.call_floor import Silero
from tests.voices import RECORDINGS, recording

RATE_HZ: Final = 16_000
FRAME_BYTES: Final = RATE_HZ // 50 * 2
_WINDOW_BYTES: Final = 1024
_FRAMES: Final = 99
"""1.98 s."""
_WINDOWS: Final = 62
_SURE: Final = 0.9
_SILENT: Final = 0.35
_LONGEST_SILENCE: Final = 4


def speech(silero: Silero, count: int) -> list[bytes]:
    """Give pieces of 1.98 s, PCM at 16000 Hz, without a pause, cut off in the middle of a sound."""
    pieces: list[bytes] = []
    for name in RECORDINGS:
        pcm = recording(name, RATE_HZ)
        memory = silero.memory()
        windows = range(0, len(pcm) - _WINDOW_BYTES, _WINDOW_BYTES)
        likely = [silero.probability(memory, pcm[at : at + _WINDOW_BYTES]) for at in windows]
        last = 0
        for end in range(_WINDOWS, len(likely)):
            if end - last >= _WINDOWS and min(likely[end - 3 : end]) > _SURE and _goes_on(likely, end):
                last = end
                stop = end * _WINDOW_BYTES
                pieces.append(pcm[stop - _FRAMES * FRAME_BYTES : stop])
    return pieces[:count]


def _goes_on(likely: list[float], end: int) -> bool:
    silent = 0
    for probability in likely[end - _WINDOWS : end]:
        silent = silent + 1 if probability < _SILENT else 0
        if silent >= _LONGEST_SILENCE:
            return False
    return True


def room_noise(frames: int) -> list[bytes]:
    """Frames of the sound of a quiet room."""
    noise = np.random.default_rng(1).normal(0.0, 12.0, (frames, FRAME_BYTES // 2)).astype("<i2")
    return [frame.tobytes() for frame in noise]
