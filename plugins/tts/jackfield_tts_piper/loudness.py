"""How much louder a voice is made, so that its loudest sounds are as loud as they may be."""

from __future__ import annotations

from typing import Final

import numpy as np

from jackfield_tts_piper.model import Samples

_ROOM: Final = 0.85
"""Of the largest sample: a sentence that is louder than all before it still has its peaks."""
_SILENCE: Final = 1e-8


class Loudness:
    """Remembers the loudest sound of each speaker, for a sentence begins before all of it is known."""

    def __init__(self) -> None:
        self._peaks: dict[int | None, float] = {}

    def gain(self, speaker: int | None, sound: Samples) -> float:
        """What to multiply the samples of a sentence by that begins with `sound`."""
        peak = max(self._peaks.get(speaker, 0.0), _peak(sound))
        return _ROOM / peak if peak > _SILENCE else 0.0

    def heard(self, speaker: int | None, sound: Samples) -> None:
        """Take note of a part of what a speaker says, before it is made louder."""
        self._peaks[speaker] = max(self._peaks.get(speaker, 0.0), _peak(sound))


def _peak(sound: Samples) -> float:
    return float(np.abs(sound).max(initial=0.0))
