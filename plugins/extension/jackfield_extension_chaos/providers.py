"""Providers that fail when the dice say so, and else do what the real ones do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from jackfield.contracts.failover import Probed
from jackfield.contracts.llm import LLM, GenerationRequest, LLMOutput, TokenCounter
from jackfield.contracts.stt import STT, TranscriptionSettings
from jackfield.contracts.tts import TTS, IncrementalTTS, SpeechSettings, TTSOutput, Voice
from jackfield_extension_chaos.dice import Dice
from jackfield_extension_chaos.stream import ChaosStream, DiscardingChaosStream, as_discarding

T = TypeVar("T")
_GARBAGE: Final[Any] = object()
"""What no provider may give."""


class Chaos(Generic[T]):
    """A provider and its dice."""

    def __init__(self, inner: T, dice: Dice) -> None:
        self.inner = inner
        self.dice = dice


class ChaosLLM(Chaos[LLM]):
    """A language model that fails when the dice say so."""

    def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        return self.dice.disturb(lambda: self.inner.generate(request), _GARBAGE)


class ChaosTTS(Chaos[TTS]):
    """A voice that fails when the dice say so."""

    def rate_hz(self, voice: Voice) -> int:
        return self.inner.rate_hz(voice)

    def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        return self.dice.disturb(lambda: self.inner.synthesize(text, settings), _GARBAGE)


class ChaosSTT(Chaos[STT]):
    """A recogniser that fails when the dice say so."""

    def stream(self, settings: TranscriptionSettings) -> ChaosStream:
        stream = self.inner.stream(settings)
        discarding = as_discarding(stream)
        return DiscardingChaosStream(discarding, self.dice) if discarding else ChaosStream(stream, self.dice)


# What some providers can besides.


class Counting(Chaos[Any]):
    """Counts tokens."""

    def count_tokens(self, text: str) -> int:
        tokens: int = self.inner.count_tokens(text)
        return tokens


class Incremental(Chaos[Any]):
    """Speaks text that still comes."""

    def stream(self, pieces: AsyncIterator[str], settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        return self.dice.disturb(lambda: self.inner.stream(pieces, settings), _GARBAGE)


class Opened(Chaos[Any]):
    """Is opened by the server."""

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        answer: bool | None = await self.inner.__aexit__(exc_type, exc, tb)
        return answer


class Probing(Chaos[Any]):
    """Finds out by itself whether it works."""

    async def probe(self) -> None:
        await self.inner.probe()


_EXTRAS: Final = (
    (TokenCounter, Counting),
    (IncrementalTTS, Incremental),
    (AbstractAsyncContextManager, Opened),
    (Probed, Probing),
)


def disturbed(kind: type[Chaos[T]], inner: T, dice: Dice) -> T:
    """Give a provider that can all that `inner` can, and fails."""
    extras = [extra for contract, extra in _EXTRAS if isinstance(inner, contract)]
    made: T = type(kind.__name__, (kind, *extras), {})(inner, dice)
    return made
