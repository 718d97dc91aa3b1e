"""Detectors of voice activity that go by how loud a window is, so that a test decides what is speech."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from jackfield.contracts.vad import VADStream

WINDOW_SAMPLES: Final = 512
FULL: Final = 1000
"""The sample that stands for certain speech."""


def window(probability: float) -> bytes:
    """Sound of one window."""
    return struct.pack("<h", round(probability * FULL)) * WINDOW_SAMPLES


def probability_of(pcm: bytes) -> float:
    """What a detector makes of a window: its last sample decides."""
    return float(struct.unpack_from("<h", pcm, len(pcm) - 2)[0]) / FULL


@dataclass
class LevelStream:
    """Remembers what it was fed."""

    vad: LevelVAD
    fed: list[bytes] = field(default_factory=list)

    def feed(self, window: bytes) -> float:
        assert len(window) == 2 * WINDOW_SAMPLES
        self.fed.append(window)
        return self.vad.answer(window)


@dataclass
class LevelVAD:
    """Looks at one speaker at a time. `broken` is raised, or its result given, in place of an answer."""

    broken: Callable[[], float] | None = None
    streams: list[LevelStream] = field(default_factory=list)

    @property
    def window_samples(self) -> int:
        return WINDOW_SAMPLES

    def stream(self) -> VADStream:
        self.streams.append(LevelStream(self))
        return self.streams[-1]

    def answer(self, window: bytes) -> float:
        return self.broken() if self.broken is not None else probability_of(window)


@dataclass
class LevelBatchVAD(LevelVAD):
    """Looks at several at once, and remembers how many."""

    batches: list[int] = field(default_factory=list)
    short_by: int = 0
    """Answers that it leaves out."""

    def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
        assert len({id(stream) for stream in streams}) == len(streams) == len(windows)
        self.batches.append(len(streams))
        answers = [stream.feed(window) for stream, window in zip(streams, windows, strict=True)]
        return answers[: len(answers) - self.short_by]
