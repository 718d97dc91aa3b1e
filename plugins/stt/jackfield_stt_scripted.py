"""Scripted: a speech recogniser that hears what its options say, whatever was spoken.

For demonstrations and tests: it needs no model and no network. It does listen to how long the sound is
and whether there is any: an utterance without a single sample other than zero has an empty transcript.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Literal, Self

import anyio
from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings


class ScriptedOptions(Options):
    """What is heard, and when."""

    transcripts: tuple[str, ...] = Field(
        (),
        description="Transcripts of a stream's utterances, in order, and again from the first. "
        "Without any, the transcript says how long the utterance was.",
    )
    partials: bool = Field(False, description="Whether to give partial transcripts while sound comes in.")
    words_per_s: float = Field(4.0, gt=0, description="With partials: words heard in one second of sound.")
    end_of_turn_s: float | None = Field(
        None,
        gt=0,
        description="Seconds of silence after which it judges by itself that the speaker has finished. "
        "None never judges.",
    )
    delay_s: float = Field(0.0, ge=0, description="Seconds that recognising an utterance takes.")


class ScriptedSTT:
    """Hears a script."""

    def __init__(self, options: ScriptedOptions) -> None:
        self._options = options

    def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
        return ScriptedStream(self._options, settings.language)


class ScriptedStream:
    """One speaker's sound. Keeps none of it: only how much there was."""

    def __init__(self, options: ScriptedOptions, language: str | None) -> None:
        self._options = options
        self._language = language
        self._utterance = 0
        self._discarded = 0
        self._begin()
        self._ready: deque[Transcript] = deque()
        self._wake = anyio.Event()
        self._closed = False

    def _begin(self) -> None:
        self._samples = 0
        self._silent_samples = 0  # since the last sound
        self._heard = False
        self._partial_words = 0

    def push(self, pcm: bytes) -> None:
        samples = len(pcm) // 2
        self._samples += samples
        if pcm.count(0) != len(pcm):
            self._heard = True
            self._silent_samples = 0
        elif self._heard and self._options.end_of_turn_s is not None:
            self._fall_silent(samples, self._options.end_of_turn_s * STT_RATE_HZ)
        if self._options.partials and self._heard:
            self._add_partial()

    def _fall_silent(self, samples: int, limit_samples: float) -> None:
        before, self._silent_samples = self._silent_samples, self._silent_samples + samples
        if before < limit_samples <= self._silent_samples:
            self._add("partial", self._text(), end_of_turn=True)

    def _add_partial(self) -> None:
        words = self._text().split()
        heard = min(len(words), int(self._samples * self._options.words_per_s / STT_RATE_HZ))
        if heard > self._partial_words:
            self._partial_words = heard
            self._add("partial", " ".join(words[:heard]))

    def checkpoint(self) -> None:
        self._add("tentative", self._text())

    def end_utterance(self, *, unchanged: bool = False) -> None:
        self._add("final", self._text())
        self._utterance += 1
        self._begin()

    def discard(self) -> None:
        if self._ready and self._ready[-1].kind != "final":
            self._ready.pop()
        self._discarded += 1
        self._begin()

    def _text(self) -> str:
        if not self._heard:
            return ""
        if transcripts := self._options.transcripts:
            return transcripts[self._utterance % len(transcripts)]
        return f"{self._samples / STT_RATE_HZ:.1f} seconds of sound"

    def _add(
        self, kind: Literal["partial", "tentative", "final"], text: str, *, end_of_turn: bool = False
    ) -> None:
        if self._ready and self._ready[-1].kind != "final":
            end_of_turn = self._ready.pop().end_of_turn or end_of_turn  # nobody has read the older guess
        end_s = self._samples / STT_RATE_HZ
        self._ready.append(
            Transcript(
                text, kind, end_s=end_s, confidence=1.0, language=self._language, end_of_turn=end_of_turn
            )
        )
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        while not self._closed:
            if not self._ready:
                self._wake = anyio.Event()
                await self._wake.wait()
                continue
            transcript = self._ready.popleft()
            discarded = self._discarded
            if self._options.delay_s and transcript.kind != "partial":
                await anyio.sleep(self._options.delay_s)
            if transcript.kind == "final" or discarded == self._discarded:
                yield transcript

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closed = True
        self._wake.set()


def _capabilities(options: ScriptedOptions) -> Capabilities:
    return Capabilities(streaming=options.partials)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="stt",
        name="scripted",
        summary="Hears what its options say, whatever was spoken; needs no model.",
        options=ScriptedOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_stt(options: ScriptedOptions, site: Site) -> ScriptedSTT:
    return ScriptedSTT(options)
