"""Speech recognisers: sound in, words out.

Sound is PCM, signed 16-bit little-endian, mono, 16000 Hz, everywhere in this module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Literal, Protocol, Self, runtime_checkable

import anyio

from jackfield.contracts.failover import Failover

STT_RATE_HZ: Final = 16_000


@dataclass(frozen=True, slots=True)
class TranscriptionSettings:
    """What is known of the sound before it comes."""

    language: str | None = None
    """BCP 47 tag; None leaves it to the plugin's options, or to detection."""
    hints: tuple[str, ...] = ()
    """Words that are likely to be said."""
    gated: bool = False
    """True when a detector of voice activity lets through only what somebody says, with little silence at
    both ends: a recogniser need not look for speech once more."""
    failover: Failover | None = field(default=None, compare=False, repr=False)
    """For chains alone."""


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
        """Ask for a tentative transcript of the utterance so far; pushing may go on.

        It may stay unanswered when the next checkpoint or the end of the utterance comes first.
        """
        ...

    def end_utterance(self, *, unchanged: bool = False) -> None:
        """End the utterance. Answered by exactly one final transcript; then the next one begins.

        `unchanged` says that nothing was spoken since the last checkpoint: its tentative transcript may
        be given as the final, at no further cost. A recogniser that has no use for that ignores it.
        """
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
class DiscardingSTTStream(STTStream, Protocol):
    """A stream that can forget what nobody wants to know; optional, found by its method.

    Of other streams the utterance is ended, and its final transcript is thrown away.
    """

    def discard(self) -> None:
        """Forget the sound of the utterance so far; the next sound begins another one.

        No final transcript comes of it, and no other once this has returned. Utterances that have ended are
        answered all the same. Nothing happens when there is no sound.
        """
        ...


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


@dataclass(slots=True)
class _Job:
    """Sound to be recognised."""

    pcm: bytes
    kind: Literal["tentative", "final"]
    same_as: _Job | None = None
    """A checkpoint that had heard all of it."""
    instead: bool = False
    """Whether an older checkpoint was given up half-way for it: then it is not given up for a newer one,
    so that checkpoints in quick succession are answered at all."""
    transcript: Transcript | None = None


class _UtteranceStream:
    """Turns `recognize` into a stream. Work is done by whoever iterates, so it needs no task."""

    def __init__(self, stt: WholeUtteranceSTT, settings: TranscriptionSettings) -> None:
        self._stt = stt
        self._settings = settings
        self._sound = bytearray()
        self._jobs: deque[_Job] = deque()
        self._running: _Job | None = None
        self._work = anyio.CancelScope()
        self._checkpoint: _Job | None = None
        """The newest one of the utterance, whether it was answered or not."""
        self._wake = anyio.Event()
        self._closed = False

    def push(self, pcm: bytes) -> None:
        self._sound += pcm

    def checkpoint(self) -> None:
        self._drop_guess()  # nobody needs the older guess any more
        self._checkpoint = job = _Job(bytes(self._sound), "tentative")
        running = self._running
        if running is not None and running.kind == "tentative" and not running.instead:
            job.instead = True
            self._work.cancel()
        self._add(job)

    def end_utterance(self, *, unchanged: bool = False) -> None:
        self._drop_guess()
        known = self._checkpoint if unchanged else None
        running = self._running
        if running is not None and running.kind == "tentative" and running is not known:
            self._work.cancel()
        self._add(_Job(known.pcm if known else bytes(self._sound), "final", known))
        self._checkpoint = None
        self._sound.clear()

    def discard(self) -> None:
        self._drop_guess()
        running = self._running
        wanted = any(job.same_as is running for job in self._jobs)  # by an utterance that has ended
        if running is not None and running.kind == "tentative" and not wanted:
            self._work.cancel()
        self._checkpoint = None
        self._sound.clear()

    def _drop_guess(self) -> None:
        if self._jobs and self._jobs[-1].kind == "tentative":
            self._jobs.pop()

    def _add(self, job: _Job) -> None:
        self._jobs.append(job)
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        while not self._closed:
            if not self._jobs:
                self._wake = anyio.Event()
                await self._wake.wait()
                continue
            transcript = await self._answer(self._jobs.popleft())
            if transcript is not None:
                yield transcript

    async def _answer(self, job: _Job) -> Transcript | None:
        """Give None for a checkpoint that was given up half-way."""
        transcript = job.same_as.transcript if job.same_as else None
        if transcript is None:
            transcript = await self._recognise(job) if job.pcm else Transcript("", job.kind)
        job.transcript = replace(transcript, kind=job.kind) if transcript else None
        return job.transcript

    async def _recognise(self, job: _Job) -> Transcript | None:
        self._running = job
        try:
            with anyio.CancelScope() as self._work:
                return await self._stt.recognize(job.pcm, self._settings)
            return None
        finally:
            self._running = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closed = True
        self._wake.set()
