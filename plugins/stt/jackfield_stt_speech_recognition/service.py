"""The engines that SpeechRecognition calls: most of them services."""

from __future__ import annotations

import inspect
import os
import warnings
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from anyio import to_thread

from jackfield import Site
from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.errors import PluginCannotLoad, PluginCannotStart, PluginWrongOptions, Problem
from jackfield.workers import Workers
from jackfield_stt_speech_recognition.engines import ENGINES, Engine
from jackfield_stt_speech_recognition.failures import provider_error
from jackfield_stt_speech_recognition.options import SpeechRecognitionOptions

if TYPE_CHECKING:
    from collections.abc import Callable

_SAMPLE_BYTES: Final = 2


class ServiceSTT(WholeUtteranceSTT):
    """Sends whole utterances to an engine, from worker threads. An async context manager."""

    def __init__(self, options: SpeechRecognitionOptions, site: Site) -> None:
        """:raises PluginError: when what the engine needs is missing, or it takes no such argument."""
        self._options = options
        self._site = site
        self._engine = engine = ENGINES[options.engine]
        self._workers = Workers(options.workers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it imports modules that Python drops
            self._library = import_module("speech_recognition")
        recognizer = self._library.Recognizer()
        recognizer.operation_timeout = options.timeout_s
        self._call: Callable[..., object] = getattr(recognizer, engine.method)
        secrets = {name: secret.get_secret_value() for name, secret in options.secrets.items()}
        self._arguments = {**options.arguments, **secrets, **engine.fixed}
        self._check(engine)

    def _check(self, engine: Engine) -> None:
        section, name = self._site.section, self._options.engine
        if engine.module and not _is_installed(engine.module):
            message = f"The engine {name} needs the package {engine.distribution}."
            raise PluginCannotLoad(Problem(section, message, f"pip install {engine.distribution}"))
        missing = [variable for variable in engine.environment if not os.environ.get(variable)]
        if missing:
            message = f"The engine {name} reads its key from the environment: {missing[0]} is not set."
            raise PluginCannotStart(Problem(section, message, f"Set {missing[0]}."))
        takes = inspect.signature(self._call).parameters
        if any(one.kind is one.VAR_KEYWORD for one in takes.values()):
            return
        unknown = [argument for argument in self._options.arguments if argument not in takes]
        if unknown:
            known = ", ".join(one for one in takes if one not in ("audio_data", "show_all", engine.language))
            message = f"The engine {name} takes no argument {unknown[0]!r}."
            raise PluginWrongOptions(Problem(f"{section}.options.arguments", message, f"It takes: {known}."))

    async def __aenter__(self) -> Self:
        """:raises PluginCannotStart: when there is no program that compresses the sound."""
        if self._engine.compresses:
            try:
                await to_thread.run_sync(self._library.audio.get_flac_converter)
            except OSError as error:
                message = f"The engine {self._options.engine} needs the program flac."
                fix = "Install it with: apt-get install flac"
                raise PluginCannotStart(Problem(self._site.section, message, fix)) from error
        await self._workers.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._workers.__aexit__(exc_type, exc, tb)

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        return await self._workers.run(partial(self._recognize, pcm, settings))

    def _recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        language = settings.language or self._options.language
        arguments = dict(self._arguments)
        if self._engine.language:
            tag = language.partition("-")[0] if self._engine.short_language else language
            arguments[self._engine.language] = tag
        sound = self._library.AudioData(pcm, STT_RATE_HZ, _SAMPLE_BYTES)
        try:
            text, confidence = _words(self._call(sound, **arguments))
        except self._library.UnknownValueError:  # there was nothing to understand
            text, confidence = "", None
        except Exception as error:  # noqa: BLE001  # each engine has errors of its own
            # Its words, and those of what is behind it, may quote what was sent or heard.
            raise provider_error(self._options.engine, error) from None
        end_s = len(pcm) / _SAMPLE_BYTES / STT_RATE_HZ
        return Transcript(text, "final", end_s=end_s, confidence=confidence, language=language)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def _words(answer: object) -> tuple[str, float | None]:
    """Read what an engine gave: text, text with its probability, or all that Google answered.

    :raises ValueError: it is none of them.
    """
    match answer:
        case {"alternative": [{"transcript": str(text), **more}, *_]}:
            return text, _probability(more.get("confidence"))
        case {"alternative": [*_]}:
            return "", None
        case str(text):
            return " ".join(text.split()), None
        case (str(text), confidence):
            return " ".join(text.split()), _probability(confidence)
        case _:
            raise ValueError("no words")


def _probability(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None
