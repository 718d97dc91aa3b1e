"""The voice as the core sees it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from anyio import to_thread

from jackfield import ProviderUnavailable, Site
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import PluginCannotStart, Problem
from jackfield.workers import Workers
from jackfield_tts_piper.options import PiperOptions
from jackfield_tts_piper.voice import LoadedVoice

if TYPE_CHECKING:
    from piper import PiperConfig, SynthesisConfig

_READ_BY_PIPER: Final = ("espeak", "text")


class PiperTTS:
    """A voice. An async context manager: entering loads it."""

    def __init__(self, options: PiperOptions, model: Path, site: Site) -> None:
        self._options = options
        self._model = model
        self._site = site
        self._workers = Workers(options.workers)
        self._voice: LoadedVoice | None = None

    async def __aenter__(self) -> Self:
        """:raises PluginCannotStart: when there is no such voice, or it cannot be loaded."""
        self._voice = await to_thread.run_sync(self._load)
        await self._workers.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._workers.__aexit__(exc_type, exc, tb)
        self._voice = None

    def rate_hz(self, voice: Voice) -> int:
        return self._loaded().config.sample_rate

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        from onnxruntime import RunOptions  # type: ignore[import-untyped]  # it has no types

        voice, switch = self._loaded(), RunOptions()
        parts = voice.speak(text, self._how(voice, settings), switch)
        try:
            while (pcm := await self._workers.run(partial(_next, parts))) is not None:
                yield pcm
        finally:
            switch.terminate = True

    def _how(self, voice: LoadedVoice, settings: SpeechSettings) -> SynthesisConfig:
        from piper import SynthesisConfig

        options = self._options
        return SynthesisConfig(
            speaker_id=voice.config.speaker_id_map.get(settings.voice.name or "", options.speaker),
            length_scale=(options.length_scale or voice.config.length_scale) / settings.speed,
            noise_scale=options.noise_scale,
            noise_w_scale=options.noise_w_scale,
            volume=options.volume,
        )

    def _loaded(self) -> LoadedVoice:
        if self._voice is None:
            raise RuntimeError("the voice must be entered before it speaks")
        return self._voice

    def _load(self) -> LoadedVoice:
        model = self._model
        described = self._options.config or Path(f"{model}.json")
        if not described.is_file():
            raise self._cannot_start(
                "config", f"The voice's description {str(described)!r} is missing.", "Name it in `config`."
            )
        logging.getLogger("piper").setLevel(logging.ERROR)  # below that it logs the text it speaks
        try:
            return LoadedVoice.load(self._read(described), model, self._options.threads)
        except PluginCannotStart:
            raise
        except Exception as error:  # the file is another's, and onnxruntime's errors have no root but this
            raise self._cannot_start(
                "model", f"The voice {str(model)!r} cannot be loaded: {error}", "Check both of its files."
            ) from error

    def _read(self, described: Path) -> PiperConfig:
        from piper import PiperConfig

        config = PiperConfig.from_dict(json.loads(described.read_text("utf-8")))
        if config.phoneme_type.value not in _READ_BY_PIPER:
            raise self._cannot_start(
                "model",
                f"The voice's text goes through {config.phoneme_type.value!r}, which is not supported.",
                f"Choose a voice with one of: {', '.join(_READ_BY_PIPER)}.",
            )
        return config

    def _cannot_start(self, option: str, message: str, fix: str) -> PluginCannotStart:
        return PluginCannotStart(Problem(f"{self._site.section}.options.{option}", message, fix))


def _next(parts: Iterator[bytes]) -> bytes | None:
    try:
        return next(parts, None)
    except Exception as error:  # onnxruntime's errors have no root but this
        raise ProviderUnavailable(f"Piper failed on a text ({type(error).__name__}).") from error
