"""Tone: a voice that hums one note, as long as the text would take to say.

For demonstrations and tests: it needs no model and no network, and how long it sounds is known
beforehand. Text without a letter or a digit has nothing to say.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import AsyncGenerator

import anyio
import anyio.lowlevel
from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice

_WIDTH_BYTES = 2
_CHUNKS_PER_S = 10
_MAX_SAMPLE = 32_767


class ToneOptions(Options):
    """Which note, and how long."""

    rate_hz: int = Field(24_000, ge=8_000, le=48_000, description="Samples a second.")
    frequency_hz: int = Field(440, ge=20, le=4_000, description="Frequency of the note, in whole hertz.")
    character_ms: float = Field(60.0, gt=0, description="Milliseconds of sound for each character of text.")
    volume: float = Field(0.3, ge=0, le=1, description="Amplitude, 1 being the loudest there is.")
    delay_s: float = Field(0.0, ge=0, description="Seconds that making each tenth of a second takes.")


class ToneTTS:
    """Hums."""

    def __init__(self, options: ToneOptions) -> None:
        self._options = options
        self._chunk_samples = options.rate_hz // _CHUNKS_PER_S
        second = _sine(options)
        # A whole number of waves fits into a second, so the sound goes on from its end to its beginning;
        # one chunk more makes every chunk a plain slice.
        self._sound = second + second[: self._chunk_samples * _WIDTH_BYTES]

    def rate_hz(self, voice: Voice) -> int:
        return self._options.rate_hz

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        samples = self._length_samples(text, settings.speed)
        for start in range(0, samples, self._chunk_samples):
            if self._options.delay_s:
                await anyio.sleep(self._options.delay_s)
            else:
                await anyio.lowlevel.checkpoint()  # others run, and a cancellation arrives
            begin = start % self._options.rate_hz
            end = begin + min(self._chunk_samples, samples - start)
            yield self._sound[begin * _WIDTH_BYTES : end * _WIDTH_BYTES]

    def _length_samples(self, text: str, speed: float) -> int:
        spoken = text.strip()
        if not any(character.isalnum() for character in spoken):
            return 0
        return round(len(spoken) * self._options.character_ms / speed * self._options.rate_hz / 1000)


def _sine(options: ToneOptions) -> bytes:
    step = math.tau * options.frequency_hz / options.rate_hz
    peak = options.volume * _MAX_SAMPLE
    samples = array("h", (round(peak * math.sin(step * at)) for at in range(options.rate_hz)))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _capabilities(_options: ToneOptions) -> Capabilities:
    return Capabilities()


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="tts",
        name="tone",
        summary="Hums one note for as long as the text would take to say; needs no model.",
        options=ToneOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_tts(options: ToneOptions, site: Site) -> ToneTTS:
    return ToneTTS(options)
