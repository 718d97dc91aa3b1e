"""Loudness: a detector that takes whatever is loud for speech. It needs no model."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Final

from jackfield import Options, PluginInfo, Site, hookimpl
from jackfield.contracts.vad import VADStream
from pydantic import Field

FADING: Final = 0.8


class LoudnessOptions(Options):
    """What an operator may set under `[vad.options]`."""

    level: int = Field(default=500, gt=0, description="Effective value, of 32767, that is speech.")


class LoudnessVAD:
    """Tells loud from quiet."""

    window_samples: Final = 320

    def __init__(self, options: LoudnessOptions) -> None:
        self._level = options.level

    def stream(self) -> LoudnessStream:
        return LoudnessStream(self._level)

    def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
        return [stream.feed(window) for stream, window in zip(streams, windows, strict=True)]


class LoudnessStream:
    """One speaker. Remembers how loud it was: words have quiet places too."""

    __slots__ = ("_half", "_loudness")

    def __init__(self, level: int) -> None:
        self._half = 2 * level
        self._loudness = 0.0

    def feed(self, window: bytes) -> float:
        now = math.hypot(*array("h", window)) / math.sqrt(len(window) / 2)
        self._loudness = max(now, self._loudness * FADING)
        return min(1.0, self._loudness / self._half)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="vad",
        name="loudness",
        summary="Takes what is loud for speech.",
        options=LoudnessOptions,
    )


@hookimpl
def make_vad(options: LoudnessOptions, site: Site) -> LoudnessVAD:
    return LoudnessVAD(options)
