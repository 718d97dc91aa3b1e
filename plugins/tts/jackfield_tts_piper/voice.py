"""A loaded voice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from jackfield_tts_piper.loudness import Loudness
from jackfield_tts_piper.model import Model, load
from jackfield_tts_piper.text import pieces, speakable

if TYPE_CHECKING:
    from onnxruntime import RunOptions  # type: ignore[import-untyped]  # it has no types
    from piper import PiperConfig, SynthesisConfig

_LARGEST: Final = 32_767
_TRIAL: Final = "1 2 3 4 5"
"""What every language can read."""


class LoadedVoice:
    """A voice that speaks. Its methods block, and may run in several threads at once."""

    def __init__(self, config: PiperConfig, model: Model) -> None:
        from onnxruntime import RunOptions
        from piper import SynthesisConfig

        self.config = config
        self._model = model
        self._loudness = Loudness()
        # The first synthesis takes longer than others, and how loud the voice is has to be known before.
        for _ in self.speak(_TRIAL, SynthesisConfig(), RunOptions()):
            pass

    @classmethod
    def load(cls, config: PiperConfig, file: Path, threads: int) -> Self:
        """Load the model; its errors are those of `model.load`."""
        from piper import SynthesisConfig

        ids = [number for sentence in _sentences(config, _TRIAL) for number in sentence]
        return cls(config, load(file, config, threads, ids, SynthesisConfig()))

    def speak(self, text: str, how: SynthesisConfig, switch: RunOptions) -> Iterator[bytes]:
        """Yield PCM of the voice's rate, as it is computed."""
        for piece in pieces(speakable(text)):
            for ids in _sentences(self.config, piece):
                yield from self._sentence(ids, how, switch)

    def _sentence(self, ids: Sequence[int], how: SynthesisConfig, switch: RunOptions) -> Iterator[bytes]:
        gain: float | None = None
        for sound in self._model.sounds(ids, how, switch):
            if gain is None:
                gain = self._loudness.gain(how.speaker_id, sound) * how.volume
            self._loudness.heard(how.speaker_id, sound)
            yield (np.clip(sound * gain, -1.0, 1.0) * _LARGEST).astype("<i2").tobytes()


def _sentences(config: PiperConfig, text: str) -> Iterator[list[int]]:
    """Yield the numbers of the phonemes of each sentence."""
    from piper import PiperVoice

    voice = PiperVoice(config=config, session=None)
    for phonemes in voice.phonemize(text):
        if phonemes:
            yield voice.phonemes_to_ids(phonemes)
