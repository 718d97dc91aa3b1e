"""Speech recognisers: sound in, words out.

Sound is PCM, signed 16-bit little-endian, mono, 16000 Hz, everywhere in this module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Literal, Protocol, Self, runtime_checkable

import anyio

STT_RATE_HZ: Final = 16_000


@dataclass(frozen=True, slots=True)
class TranscriptionSettings:
    """What is known of the sound before it comes."""

    language: str | None = None
    """BCP 47 tag; None leaves it to the plugin's options, or to detection."""
    hints: tuple[str, ...] = ()
    """Words that are likely to be said."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words that were heard.

    `partial`: a guess while speech goes on. `tentative`: the answer to a checkpoint, true unless speech
    goes on. `final`: the answer to `end_utterance`; `text` is empty when there was no speech.
    """

    text: str
    kind: Literal["partial", "tentative", "final"]
    start_s: float = 0.0
    """Seconds from the first pushed sample of the utterance."""
    end_s: float = 0.0
    confidence: float | None = None
    """0 to 1."""
    language: str | None = None
    end_of_turn: bool = False
    """True when the recogniser itself judges that the speaker has finished."""


@runtime_checkable
class STTStream(Protocol):
    """One speaker's sound, for a clip or for a whole call. An async context manager, entered once."""

    def push(self, pcm: bytes) -> None:
        """Add sound, any number of whole samples. Never blocks."""
        ...

    def checkpoint(self) -> None:
        """Ask for a tentative transcript of the utterance so far; pushing may go on."""
        ...

    def end_utterance(self) -> None:
        """End the utterance. Answered by exactly one final transcript; then the next one begins."""
        ...

    def __aiter__(self) -> AsyncIterator[Transcript]:
        """Transcripts in the order of the utterances. Asked for once a stream, iterated by one task.

        :raises ProviderError: the stream is then of no further use.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None: ...


@runtime_checkable
class STT(Protocol):
    """A speech recogniser."""

    def stream(self, settings: TranscriptionSettings) -> STTStream:
        """Open nothing yet: connecting and loading happen when the stream is entered."""
        ...


class WholeUtteranceSTT(ABC):
    """Base for recognisers that take a whole utterance at once: implement `recognize`, no more."""

    @abstractmethod
    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        """Transcribe one utterance. May run several times at once; cancelling it must be safe.

        :raises ProviderError: in one of its categories.
        """

    def stream(self, settings: TranscriptionSettings) -> STTStream:
        """Give a stream that keeps the sound of an utterance and recognises it when asked."""
        return _UtteranceStream(self, settings)


class _UtteranceStream:
    """Turns `recognize` into a stream. Work is done by whoever iterates, so it needs no task."""

    def __init__(self, stt: WholeUtteranceSTT, settings: TranscriptionSettings) -> None:
        self._stt = stt
        self._settings = settings
        self._sound = bytearray()
        self._jobs: deque[tuple[bytes, Literal["tentative", "final"]]] = deque()
        self._wake = anyio.Event()
        self._closed = False

    def push(self, pcm: bytes) -> None:
        self._sound += pcm

    def checkpoint(self) -> None:
        if self._jobs and self._jobs[-1][1] == "tentative":
            self._jobs.pop()  # nobody needs the older guess any more
        self._add("tentative")

    def end_utterance(self) -> None:
        if self._jobs and self._jobs[-1][1] == "tentative":
            self._jobs.pop()
        self._add("final")
        self._sound.clear()

    def _add(self, kind: Literal["tentative", "final"]) -> None:
        self._jobs.append((bytes(self._sound), kind))
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        while not self._closed:
            if not self._jobs:
                self._wake = anyio.Event()
                await self._wake.wait()
                continue
            pcm, kind = self._jobs.popleft()
            transcript = await self._stt.recognize(pcm, self._settings) if pcm else Transcript("", kind)
            yield replace(transcript, kind=kind)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closed = True
        self._wake.set()
