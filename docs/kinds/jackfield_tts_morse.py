"""Morse: a voice that says letters and digits in Morse code. It needs no model."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

import anyio.lowlevel
from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.tts import SpeechMark, SpeechSettings, TTSOutput, Voice
from pydantic import Field

RATE_HZ: Final = 16_000
UNIT_S: Final = 0.01
LOUDNESS: Final = 9_000
ALPHABET: Final = (
    "a.- b-... c-.-. d-.. e. f..-. g--. h.... i.. j.--- k-.- l.-.. m-- n-. o--- p.--. q--.- r.-. s... t- "
    "u..- v...- w.-- x-..- y-.-- z--.. 0----- 1.---- 2..--- 3...-- 4....- 5..... 6-.... 7--... 8---.. 9----."
)
CODES: Final = {entry[0]: entry[1:] for entry in ALPHABET.split()}


class MorseOptions(Options):
    """What an operator may set under `[tts.options]`."""

    beep_hz: int = Field(default=600, ge=100, le=4_000, description="Pitch of the beeps, in hertz.")


class MorseTTS:
    """Says text word by word, whether it is there as a whole or still comes."""

    def __init__(self, options: MorseOptions) -> None:
        self._beep_hz = options.beep_hz

    def rate_hz(self, voice: Voice) -> int:
        return RATE_HZ  # it has one voice, so that is the nearest to any

    def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        return self._say(_words(_whole(text)), settings)

    def stream(self, pieces: AsyncIterator[str], settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        return self._say(_words(pieces), settings)

    async def _say(
        self, words: AsyncGenerator[str, None], settings: SpeechSettings
    ) -> AsyncGenerator[TTSOutput, None]:
        at_s = 0.0
        async with aclosing(words):
            async for word in words:
                await anyio.lowlevel.checkpoint()  # others run meanwhile, and here a cancellation arrives
                if pcm := _morse(word, settings.speed, self._beep_hz):
                    yield SpeechMark("word", word, at_s)
                    yield pcm
                    at_s += len(pcm) / 2 / RATE_HZ


async def _words(pieces: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """Yield words as soon as they are complete, however the text is cut."""
    rest = ""
    async for piece in pieces:
        *words, rest = re.split(r"\s+", rest + piece)
        for word in words:
            yield word
    yield rest


async def _whole(text: str) -> AsyncIterator[str]:
    yield text


def _morse(word: str, speed: float, beep_hz: int) -> bytes:
    """PCM of a word and of the silence after it; nothing where it has no letter that is known."""
    unit_samples = round(RATE_HZ * UNIT_S / speed)
    signs = {sign: _beep(units * unit_samples, beep_hz) for sign, units in ((".", 1), ("-", 3))}
    silence = bytes(2 * unit_samples)
    letters = [CODES[letter] for letter in word.lower() if letter in CODES]
    sounds = [silence.join(signs[sign] for sign in code) for code in letters]
    return (silence * 3).join(sounds) + silence * 7 if sounds else b""


def _beep(samples: int, beep_hz: int) -> bytes:
    step = math.tau * beep_hz / RATE_HZ
    return array("h", (round(LOUDNESS * math.sin(step * at)) for at in range(samples))).tobytes()


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="tts",
        name="morse",
        summary="Says everything in Morse code.",
        options=MorseOptions,
        capabilities=lambda options: Capabilities(streaming=True),
    )


@hookimpl
def make_tts(options: MorseOptions, site: Site) -> MorseTTS:
    return MorseTTS(options)
