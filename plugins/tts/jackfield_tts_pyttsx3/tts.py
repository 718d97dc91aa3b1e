"""The voice as the core sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from jackfield import Site
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import PluginCannotStart, Problem
from jackfield.processes import CannotStart, Fields, WorkerProcesses
from jackfield_tts_pyttsx3.options import Pyttsx3Options
from jackfield_tts_pyttsx3.text import pieces, speakable
from jackfield_tts_pyttsx3.voices import EspeakVoice, Voices

_ENGINE: Final = Path(__file__).with_name("engine.py")
_PIECE_S: Final = 20.0
"""An engine that is not done with a piece by then hangs."""
_SLOWEST, _FASTEST = 80, 450
"""Words a minute that eSpeak can speak."""


class Pyttsx3TTS:
    """eSpeak's voices. An async context manager: entering starts the process in which they speak."""

    def __init__(self, options: Pyttsx3Options, site: Site) -> None:
        self._options = options
        self._site = site
        trial = {"voice": None, "rate": options.rate, "volume": options.volume}
        self._process = WorkerProcesses(_ENGINE, 1, trial)
        self._voices: Voices | None = None
        self._rate_hz = 0

    async def __aenter__(self) -> Self:
        """:raises PluginCannotStart: without eSpeak, or when it has no such voice."""
        try:
            await self._process.__aenter__()
        except CannotStart as error:
            raise PluginCannotStart(Problem(self._site.section, error.message, error.fix)) from error
        try:
            self._rate_hz = int(str(self._process.greeting["rate_hz"]))
            self._voices = self._found(self._process.greeting)
        except BaseException:
            await self._process.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._voices = None
        await self._process.__aexit__(exc_type, exc, tb)

    def _found(self, greeting: Fields) -> Voices:
        told = greeting["voices"]
        assert isinstance(told, list)
        try:
            return Voices(
                (EspeakVoice(file, name, tuple(tags)) for file, name, tags in told), self._options.voice
            )
        except LookupError as error:
            raise PluginCannotStart(
                Problem(
                    f"{self._site.section}.options.voice",
                    f"eSpeak has no voice {self._options.voice!r}.",
                    f"Choose another, for example {error}." if str(error) else "Choose `en-us`, or another.",
                )
            ) from error

    def rate_hz(self, voice: Voice) -> int:
        self._entered()
        return self._rate_hz

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        rate = round(self._options.rate * settings.speed)
        how = {
            "voice": self._entered().choose(settings.voice),
            "rate": max(_SLOWEST, min(rate, _FASTEST)),
            "volume": self._options.volume,
        }
        for piece in pieces(speakable(text)):
            _, pcm = await self._process.ask({**how, "text": piece}, within_s=_PIECE_S)
            if pcm:
                yield pcm

    def _entered(self) -> Voices:
        if self._voices is None:
            raise RuntimeError("the voice must be entered before it speaks")
        return self._voices
