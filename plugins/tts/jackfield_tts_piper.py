"""Piper: neural voices on this machine, a tenth of real time on one processor core.

Takes a voice of the catalogue or any Piper voice file (`.onnx` with its `.onnx.json`); never downloads.
Voices whose text goes through espeak-ng, or through nothing, work; those that need a further library to
read Chinese, Hebrew, Japanese or Thai do not. piper-tts and the espeak-ng inside it are licensed
GPL-3.0-or-later; they come with `jackfield[piper]` only and are imported when this plugin is configured.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from anyio import to_thread
from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, ProviderUnavailable, Site, hookimpl
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import PluginCannotStart, Problem
from jackfield.models import locate
from jackfield.workers import Workers

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions  # type: ignore[import-untyped]  # it has no types
    from piper import PiperConfig, SynthesisConfig

_READ_BY_PIPER: Final = ("espeak", "text")
_CANCEL_S: Final = 0.3
_MOST_CHARS: Final = 100
"""Sound comes a piece at a time: shorter ones come sooner, longer ones sound better."""
_PIECE_ENDS: Final = (
    (re.compile(r"[.!?…。！？]+\s+|\n+"), 1),
    (re.compile(r"[,;:，、；：]\s*|\s[-–—]\s"), 20),
    (re.compile(r"\s"), 20),
)
"""Where a long text may be cut, best first, each with the least characters before it."""


class PiperOptions(Options):
    """Which voice, and how it speaks."""

    model: str = Field(
        "piper-en-us-joe", description="A voice of the catalogue, or the path of a Piper voice (`.onnx`)."
    )
    config: Path | None = Field(
        None, description="The voice's description. None takes the `.onnx.json` beside the voice."
    )
    speaker: int | None = Field(
        None, ge=0, description="Number of the speaker, in voices that have several. None takes the first."
    )
    threads: int = Field(1, ge=1, description="Threads of one synthesis.")
    workers: int = Field(2, ge=1, description="Syntheses at once; further ones wait between sentences.")
    volume: float = Field(1.0, gt=0, le=1, description="Loudness; 1 is the loudest without distortion.")
    length_scale: float | None = Field(
        None, gt=0, description="Duration of the sounds; 2 is half as fast. None takes the voice's own."
    )
    noise_scale: float | None = Field(
        None, ge=0, description="Variation of the sound; 0 is monotonous. None takes the voice's own."
    )
    noise_w_scale: float | None = Field(
        None, ge=0, description="Variation of the rhythm; 0 is even. None takes the voice's own."
    )


@dataclass(frozen=True, slots=True)
class _StoppableSession:
    """A model's session for one synthesis, with the switch that stops it half-way."""

    session: InferenceSession
    switch: RunOptions

    def run(self, outputs: object, inputs: object) -> object:
        return self.session.run(outputs, inputs, self.switch)


@dataclass(frozen=True, slots=True)
class _LoadedVoice:
    config: PiperConfig
    session: InferenceSession

    def sentences(self, text: str, how: SynthesisConfig, switch: RunOptions) -> Iterator[bytes]:
        """Speak; yields PCM a sentence, or a piece of a long one, at a time. Blocks between."""
        from piper import PiperVoice

        voice = PiperVoice(config=self.config, session=_StoppableSession(self.session, switch))
        for piece in _pieces(_speakable(text)):
            for chunk in voice.synthesize(piece, how):
                yield chunk.audio_int16_bytes


def _speakable(text: str) -> str:
    """Leave out what is not to be spoken; double brackets would be read as phonemes."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text).translate(
        {ord("["): " ", ord("]"): " "}
    )


def _pieces(text: str) -> Iterator[str]:
    """Cut text into pieces that have something to say."""
    while text:
        cut = _cut(text)
        piece, text = text[:cut].strip(), text[cut:]
        if any(char.isalnum() for char in piece):
            yield piece


def _cut(text: str) -> int:
    if len(text) <= _MOST_CHARS:
        return len(text)
    for ends, least_chars in _PIECE_ENDS:
        cuts = [end for found in ends.finditer(text, 0, _MOST_CHARS) if (end := found.end()) >= least_chars]
        if cuts:
            return cuts[-1]
    return _MOST_CHARS


def _next(sentences: Iterator[bytes]) -> bytes | None:
    try:
        return next(sentences, None)
    except Exception as error:  # onnxruntime's errors have no root but this
        raise ProviderUnavailable(f"Piper failed on a text ({type(error).__name__}).") from error


class PiperTTS:
    """A voice. An async context manager: entering loads it."""

    def __init__(self, options: PiperOptions, model: Path, site: Site) -> None:
        self._options = options
        self._model = model
        self._site = site
        self._workers = Workers(options.workers)
        self._voice: _LoadedVoice | None = None

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
        from onnxruntime import RunOptions

        voice, switch = self._loaded(), RunOptions()
        sentences = voice.sentences(text, self._how(voice, settings), switch)
        try:
            while (pcm := await self._workers.run(partial(_next, sentences))) is not None:
                yield pcm
        finally:
            switch.terminate = True

    def _how(self, voice: _LoadedVoice, settings: SpeechSettings) -> SynthesisConfig:
        from piper import SynthesisConfig

        options = self._options
        return SynthesisConfig(
            speaker_id=voice.config.speaker_id_map.get(settings.voice.name or "", options.speaker),
            length_scale=(options.length_scale or voice.config.length_scale) / settings.speed,
            noise_scale=options.noise_scale,
            noise_w_scale=options.noise_w_scale,
            volume=options.volume,
        )

    def _loaded(self) -> _LoadedVoice:
        if self._voice is None:
            raise RuntimeError("the voice must be entered before it speaks")
        return self._voice

    def _load(self) -> _LoadedVoice:
        model = self._model
        described = self._options.config or Path(f"{model}.json")
        if not described.is_file():
            raise self._cannot_start(
                "config", f"The voice's description {str(described)!r} is missing.", "Name it in `config`."
            )
        try:
            voice = _LoadedVoice(self._read(described), self._session(model))
        except PluginCannotStart:
            raise
        except Exception as error:  # the file is another's, and onnxruntime's errors have no root but this
            raise self._cannot_start(
                "model", f"The voice {str(model)!r} cannot be loaded: {error}", "Check both of its files."
            ) from error
        logging.getLogger("piper").setLevel(logging.ERROR)  # below that it logs the text it speaks
        return voice

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

    def _session(self, model: Path) -> InferenceSession:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = self._options.threads
        options.inter_op_num_threads = 1
        # A waiting thread that spins takes a core from the recogniser and the language model.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])

    def _cannot_start(self, option: str, message: str, fix: str) -> PluginCannotStart:
        return PluginCannotStart(Problem(f"{self._site.section}.options.{option}", message, fix))


def _capabilities(options: PiperOptions) -> Capabilities:
    return Capabilities(
        voices=(options.model,),
        models=(options.model,),
        cancel_s=_CANCEL_S,
        max_concurrency=options.workers,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="tts",
        name="piper",
        summary="Neural voices on this machine; the libraries it needs are GPL-3.0-or-later.",
        options=PiperOptions,
        extra="jackfield[piper]",
        capabilities=_capabilities,
    )


@hookimpl
def make_tts(options: PiperOptions, site: Site) -> PiperTTS:
    import_module("piper")  # a missing library is told before anything starts
    return PiperTTS(options, locate(options.model), site)
