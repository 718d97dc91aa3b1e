"""Providers that misbehave on purpose, for tests of what stands above them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.contracts.stt import Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice


@dataclass
class FakeLLM:
    """A language model that gives `outputs`, then raises `error` if there is one; it keeps its requests.

    It waits `delay_s` before each output, and for ever before the output numbered `hangs_at`. `closed`
    counts the generations that were ended from outside.
    """

    outputs: Sequence[LLMOutput] = ("Hello ", "there.", Finish("stop", model="fake", provider="fake"))
    error: Callable[[], Exception] | None = None
    delay_s: float = 0.0
    hangs_at: int | None = None
    requests: list[GenerationRequest] = field(default_factory=list)
    closed: int = 0

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        self.requests.append(request)
        ended = False
        try:
            for at, output in enumerate(self.outputs):
                await anyio.sleep_forever() if at == self.hangs_at else await anyio.sleep(self.delay_s)
                yield output
            ended = True
            if self.error is not None:
                raise self.error()
        finally:
            self.closed += not ended


@dataclass
class FakeTTS:
    """A voice that says `pcm`, then raises `error` if there is one; it keeps the texts."""

    pcm: Sequence[bytes] = (bytes(3200),)
    error: Callable[[], Exception] | None = None
    delay_s: float = 0.0
    texts: list[str] = field(default_factory=list)

    def rate_hz(self, voice: Voice) -> int:
        return 16_000

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        self.texts.append(text)
        for piece in self.pcm:
            await anyio.sleep(self.delay_s)
            yield piece
        if self.error is not None:
            raise self.error()


@dataclass
class FakeSTT(WholeUtteranceSTT):
    """A recogniser that hears `text` after `delay_s`, or raises `error`; it keeps the utterances."""

    text: str = "hello there"
    error: Callable[[], Exception] | None = None
    delay_s: float = 0.0
    utterances: list[bytes] = field(default_factory=list)

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        self.utterances.append(pcm)
        await anyio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error()
        return Transcript(self.text, "final")
