"""Tone: a voice that hums one note, as long as the text would take to say.

For demonstrations and tests: it needs no model and no network, and how long it sounds is known
beforehand. Text without a letter or a digit has nothing to say. If asked to, it hums while the text still
comes, word by word, and tells where the words begin.
"""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import anyio
import anyio.lowlevel
from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.tts import SpeechMark, SpeechSettings, TTSOutput, Voice

_WIDTH_BYTES = 2
_CHUNKS_PER_S = 10
_MAX_SAMPLE = 32_767
_WORD = re.compile(r"\S+")


class ToneOptions(Options):
    """Which note, and how long."""

    rate_hz: int = Field(24_000, ge=8_000, le=48_000, description="Samples a second.")
    frequency_hz: int = Field(440, ge=20, le=4_000, description="Frequency of the note, in whole hertz.")
    character_ms: float = Field(60.0, gt=0, description="Milliseconds of sound for each character of text.")
    volume: float = Field(0.3, ge=0, le=1, description="Amplitude, 1 being the loudest there is.")
    delay_s: float = Field(0.0, ge=0, description="Seconds that making each tenth of a second takes.")
    marks: bool = Field(False, description="Whether to tell where in the sound each word begins.")
    incremental: bool = Field(False, description="Whether to begin before the whole text is there.")


class ToneTTS:
    """Hums whole texts."""

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
        for output in self._hum(text.strip(), 0, settings.speed):
            await self._pause(output)
            yield output

    def _hum(self, text: str, begin: int, speed: float) -> Iterator[TTSOutput]:
        """Yield what stands for `text` from its character `begin` on."""
        if not any(character.isalnum() for character in text):
            return
        words = deque(self._marks(text, begin, speed))
        at, end = self._samples(begin, speed), self._samples(len(text), speed)
        while at < end:
            until = min(at + self._chunk_samples, end)
            while words and words[0].at_s * self._options.rate_hz < until:
                yield words.popleft()
            start = at % self._options.rate_hz
            yield self._sound[start * _WIDTH_BYTES : (start + until - at) * _WIDTH_BYTES]
            at = until

    def _marks(self, text: str, begin: int, speed: float) -> Iterator[SpeechMark]:
        if self._options.marks:
            for word in _WORD.finditer(text, begin):
                at_s = self._samples(word.start(), speed) / self._options.rate_hz
                yield SpeechMark("word", word.group(), at_s)

    def _samples(self, characters: int, speed: float) -> int:
        return round(characters * self._options.character_ms / speed * self._options.rate_hz / 1000)

    async def _pause(self, output: TTSOutput) -> None:
        if self._options.delay_s and isinstance(output, bytes):
            await anyio.sleep(self._options.delay_s)
        else:
            await anyio.lowlevel.checkpoint()  # others run, and a cancellation arrives


class IncrementalToneTTS(ToneTTS):
    """Hums texts that still come, too."""

    async def stream(
        self, pieces: AsyncIterator[str], settings: SpeechSettings
    ) -> AsyncGenerator[TTSOutput, None]:
        text, hummed = "", 0
        async for piece in pieces:
            text = (text + piece).lstrip()
            whole = text[: _end_of_words(text)]  # the last word may go on
            for output in self._hum(whole, hummed, settings.speed):
                hummed = len(whole)
                await self._pause(output)
                yield output
        for output in self._hum(text.rstrip(), hummed, settings.speed):
            await self._pause(output)
            yield output


def _end_of_words(text: str) -> int:
    """Where the last word ends that has white space behind it."""
    if text[-1:].isspace():
        return len(text.rstrip())
    before, *last = text.rsplit(maxsplit=1) or [""]
    return len(before.rstrip()) if last else 0


def _sine(options: ToneOptions) -> bytes:
    step = math.tau * options.frequency_hz / options.rate_hz
    peak = options.volume * _MAX_SAMPLE
    samples = array("h", (round(peak * math.sin(step * at)) for at in range(options.rate_hz)))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _capabilities(options: ToneOptions) -> Capabilities:
    return Capabilities(streaming=options.incremental)


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
    return IncrementalToneTTS(options) if options.incremental else ToneTTS(options)
