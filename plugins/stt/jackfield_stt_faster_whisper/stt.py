"""The recogniser as the core sees it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from anyio import to_thread

from jackfield import ProviderUnavailable, Site
from jackfield.contracts.stt import Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.errors import PluginCannotStart, Problem
from jackfield.workers import Workers
from jackfield_stt_faster_whisper.options import FasterWhisperOptions
from jackfield_stt_faster_whisper.recogniser import Recogniser

_MODEL_FILES: Final = ("model.bin", "config.json", "tokenizer.json")


class FasterWhisperSTT(WholeUtteranceSTT):
    """Recognises whole utterances in worker threads. An async context manager: entering loads the model."""

    def __init__(self, options: FasterWhisperOptions, folder: Path, site: Site) -> None:
        self._options = options
        self._folder = folder
        self._site = site
        self._workers = Workers(options.workers)
        self._recogniser: Recogniser | None = None

    async def __aenter__(self) -> Self:
        """:raises PluginCannotStart: when there is no such model, or it cannot be loaded."""
        self._recogniser = await to_thread.run_sync(self._load)
        await self._workers.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._workers.__aexit__(exc_type, exc, tb)
        self._recogniser = None

    def _load(self) -> Recogniser:
        folder = self._folder
        missing = [name for name in _MODEL_FILES if not (folder / name).is_file()]
        if missing:
            raise self._cannot_start(
                f"{str(folder)!r} is no Whisper model for CTranslate2: it has no {', '.join(missing)}.",
                "Name a folder that holds " + ", ".join(_MODEL_FILES) + ".",
            )
        try:
            return Recogniser(self._options, folder)
        except (RuntimeError, ValueError) as error:
            raise self._cannot_start(
                f"The model in {str(folder)!r} cannot be loaded: {error}", "Check the files and compute_type."
            ) from error

    def _cannot_start(self, message: str, fix: str) -> PluginCannotStart:
        return PluginCannotStart(Problem(f"{self._site.section}.options.model", message, fix))

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        if self._recogniser is None:
            raise RuntimeError("recognize() needs an entered FasterWhisperSTT")
        try:
            return await self._workers.run(partial(self._recogniser.transcribe, pcm, settings))
        except RuntimeError as error:  # the only one that CTranslate2 raises
            raise ProviderUnavailable(f"Whisper failed on an utterance ({type(error).__name__}).") from error
