"""The engine `sphinx`: CMU Sphinx on this machine.

SpeechRecognition would load the model anew for every utterance, and its decoder keeps the whole interpreter
waiting. So it is asked directly, in processes that keep it loaded.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from jackfield import Site
from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.errors import PluginCannotStart, PluginWrongOptions, Problem
from jackfield.processes import CannotStart, Fields, WorkerProcesses
from jackfield_stt_speech_recognition.options import SpeechRecognitionOptions

_DECODER: Final = Path(__file__).with_name("decoder.py")
_PARTS: Final = {
    "hmm": "acoustic-model",
    "lm": "language-model.lm.bin",
    "dict": "pronounciation-dictionary.dict",
}
"""What the decoder calls the parts of a model, and SpeechRecognition."""
_SOONEST_S, _SLOWEST = 30.0, 10.0
"""A decoder hangs that takes longer than this, and this many times the length of the sound."""


class SphinxSTT(WholeUtteranceSTT):
    """Recognises whole utterances in processes. An async context manager: entering loads the model."""

    def __init__(self, options: SpeechRecognitionOptions, site: Site) -> None:
        """:raises PluginWrongOptions: without a model of the language."""
        self._language = options.language
        self._site = site
        self._processes = WorkerProcesses(_DECODER, options.workers, self._model(options))

    def _model(self, options: SpeechRecognitionOptions) -> Fields:
        if options.model is None and options.language.lower() in ("en", "en-us"):
            return {}  # PocketSphinx has a better one than SpeechRecognition
        folder = options.model or _installed_models() / options.language
        missing = [part for part in _PARTS.values() if not (folder / part).exists()]
        if missing:
            raise PluginWrongOptions(
                Problem(
                    f"{self._site.section}.options.{'model' if options.model else 'language'}",
                    f"There is no model of Sphinx in {str(folder)!r}: it has no {', '.join(missing)}.",
                    "Name its folder in `model`, or choose `en-US`.",
                )
            )
        return {name: str(folder / part) for name, part in _PARTS.items()}

    async def __aenter__(self) -> Self:
        """:raises PluginCannotStart: when the model cannot be loaded."""
        try:
            await self._processes.__aenter__()
        except CannotStart as error:
            raise PluginCannotStart(Problem(self._site.section, error.message, error.fix)) from error
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._processes.__aexit__(exc_type, exc, tb)

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        within_s = _SOONEST_S + _SLOWEST * len(pcm) / 2 / STT_RATE_HZ
        heard, _ = await self._processes.ask({"do": "listen"}, pcm, within_s=within_s)
        return Transcript(
            str(heard["text"]),
            "final",
            start_s=float(str(heard["start_s"])),
            end_s=float(str(heard["end_s"])),
            language=self._language,
        )


def _installed_models() -> Path:
    """Where SpeechRecognition's users put models of other languages."""
    found = find_spec("speech_recognition")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pocketsphinx-data"
