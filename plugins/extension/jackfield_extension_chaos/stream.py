"""A recogniser's stream that fails when the dice say so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any, Final, Self

from jackfield.contracts.stt import DiscardingSTTStream, STTStream, Transcript
from jackfield_extension_chaos.dice import Dice

_GARBAGE: Final[Any] = object()
"""What no recogniser may give."""


class ChaosStream:
    """Fails once while it is opened, and once an utterance."""

    def __init__(self, inner: STTStream, dice: Dice) -> None:
        self._inner = inner
        self._dice = dice

    def push(self, pcm: bytes) -> None:
        self._inner.push(pcm)

    def checkpoint(self) -> None:
        self._inner.checkpoint()

    def end_utterance(self, *, unchanged: bool = False) -> None:
        self._inner.end_utterance(unchanged=unchanged)

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        fate, count = self._dice.roll(), 0
        transcripts = aiter(self._inner)
        try:
            async for transcript in transcripts:
                final = transcript.kind == "final"
                if fate is not None and (final or count >= fate.rule.after_outputs):
                    if await fate.strike():
                        yield _GARBAGE
                    fate = None
                yield transcript
                count += 1
                if final:
                    fate, count = self._dice.roll(), 0
        finally:
            if isinstance(transcripts, AsyncGenerator):
                await transcripts.aclose()

    async def __aenter__(self) -> Self:
        fate = self._dice.roll(connecting=True)
        if fate is not None:
            await fate.strike()
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc, tb)


class DiscardingChaosStream(ChaosStream):
    """The same over a stream that can forget."""

    def __init__(self, inner: DiscardingSTTStream, dice: Dice) -> None:
        super().__init__(inner, dice)
        self.discard = inner.discard


def as_discarding(stream: STTStream) -> DiscardingSTTStream | None:
    """The stream, if it can forget what nobody wants to know."""
    return stream if isinstance(stream, DiscardingSTTStream) else None
