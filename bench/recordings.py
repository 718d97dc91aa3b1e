"""Recorded questions: spoken by a machine for this purpose, and cut from what people once read aloud."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jackfield.audio.resample import Resampler
from jackfield.models import locate

RATE_HZ: Final = 16_000
QUESTIONS: Final = Path(__file__).with_name("questions.txt")
_FRAME: Final = RATE_HZ // 100
_QUIET: Final = 0.01
"""Of the loudest hundredth of a second (-40 dB): below it a voice has ended."""
_ROOM: Final = 12.0
"""Standard deviation of the noise of a quiet room, in units of a 16-bit sample (-69 dB)."""
_PIECE_S: Final = (0.8, 8.0)


@dataclass(frozen=True, slots=True)
class Recording:
    """A question, PCM at 16000 Hz that begins and ends with the voice, give or take a moment."""

    name: str
    pcm: bytes
    speech_end_s: float
    """Where the voice ends: its last hundredth of a second that is louder than the quiet after it."""


def room_noise(seconds: float) -> bytes:
    """The sound of a quiet room, the same each time."""
    noise = np.random.default_rng(1).normal(0.0, _ROOM, int(seconds * RATE_HZ))
    return noise.astype("<i2").tobytes()


def synthetic(folder: Path, count: int) -> list[Recording]:
    """Let piper ask the first `count` questions, slower and livelier than the voice that answers.

    What `folder` holds of an earlier run is taken as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = QUESTIONS.read_text().splitlines()[:count]
    files = [folder / f"question-{number:02}.pcm" for number in range(1, len(texts) + 1)]
    missing = [(text, file) for text, file in zip(texts, files, strict=True) if not file.exists()]
    if missing:
        _speak(missing)
    return [_recording(file.stem, file.read_bytes()) for file in files]


def _speak(texts: list[tuple[str, Path]]) -> None:
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(str(locate("piper-en-us-joe")))
    how = SynthesisConfig(length_scale=1.15, noise_scale=0.8, noise_w_scale=1.0, volume=0.7)
    for text, file in texts:
        resampler = Resampler(voice.config.sample_rate, RATE_HZ)
        spoken = b"".join(resampler.feed(chunk.audio_int16_bytes) for chunk in voice.synthesize(text, how))
        file.write_bytes(_in_a_room(spoken + resampler.flush()))


def _in_a_room(pcm: bytes) -> bytes:
    noise = np.frombuffer(room_noise(len(pcm) / 2 / RATE_HZ), "<i2").astype(np.int32)
    voice = np.frombuffer(pcm, "<i2").astype(np.int32)[: len(noise)]
    return bytes(np.clip(voice + noise, -32_768, 32_767).astype("<i2").tobytes())


def human(count: int) -> list[Recording]:
    """Cut the recordings of people at pauses that would end a turn."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps  # type: ignore[import-untyped]

    from tests.voices import RECORDINGS, recording

    pieces: list[Recording] = []
    how = VadOptions(threshold=0.5, min_silence_duration_ms=320, speech_pad_ms=60)
    for name in RECORDINGS:
        pcm = recording(name, RATE_HZ)
        sound = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32_768)
        for number, span in enumerate(get_speech_timestamps(sound, how), 1):
            start, end = int(span["start"]), int(span["end"])
            if _PIECE_S[0] <= (end - start) / RATE_HZ <= _PIECE_S[1]:
                pieces.append(_recording(f"{name}-{number:02}", pcm[2 * start : 2 * end]))
    return pieces[:count]


def _recording(name: str, pcm: bytes) -> Recording:
    levels = _levels(np.frombuffer(pcm, "<i2").astype(np.float64))
    floor = 2 * float(np.quantile(levels, 0.05))
    loud = np.flatnonzero(levels > max(_QUIET * levels.max(), min(floor, 0.05 * levels.max())))
    return Recording(name, pcm, (int(loud[-1]) + 1) * _FRAME / RATE_HZ)


def _levels(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    return np.asarray(np.sqrt((whole**2).mean(axis=1)))


def frames(pcm: bytes, frame_bytes: int) -> Iterator[bytes]:
    """Cut sound into frames; the last one is filled up with silence."""
    for start in range(0, len(pcm), frame_bytes):
        yield pcm[start : start + frame_bytes].ljust(frame_bytes, b"\0")
