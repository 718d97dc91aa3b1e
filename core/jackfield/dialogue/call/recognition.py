"""The recogniser of a call: the sound of utterances in, one transcript of each out, whatever fails."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from jackfield.assembly import Built
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.contracts.extension import Event
from jackfield.contracts.stt import (
    STT,
    STT_RATE_HZ,
    DiscardingSTTStream,
    STTStream,
    Transcript,
    TranscriptionSettings,
)
from jackfield.dialogue.call.hearing_record import HearingRecord
from jackfield.dialogue.failures import report
from jackfield.errors import ProviderBadReply, ProviderTimedOut

Step = Callable[[STTStream], None]


class RecognitionListener(Protocol):
    """Who is told what was recognised. Plain functions that return at once."""

    def guessed(self, transcript: Transcript) -> None:
        """A partial or tentative transcript of the utterance that has not ended."""
        ...

    def recognised(self, transcript: Transcript) -> None:
        """The final transcript of an utterance; empty when there were no words."""
        ...

    def recognition_failed(self, error: Exception, in_a_row: int) -> None:
        """Comes once instead of the transcripts of all utterances that had ended."""
        ...


@dataclass(slots=True)
class _Ended:
    """An utterance that waits for its final transcript."""

    at_s: float
    forgotten: bool = False
    """Whether nobody wants the transcript any more."""


class Recognition:
    """The stream of a recogniser, opened again after a failure.

    All but `run`, which does the work until it is cancelled, are plain functions that return at once. They
    may be called before it. A final that does not come within `limit_s` of the end is a failure.
    """

    def __init__(
        self,
        stt: Built[STT],
        settings: TranscriptionSettings,
        *,
        limit_s: float,
        listener: RecognitionListener,
        publish: Callable[[Event], None],
        used: Callable[[Built[STT], float], None],
    ) -> None:
        self.gives_partials = stt.capabilities.streaming
        self._stt = stt
        self.record = HearingRecord(stt)
        self._settings = self.record.noting(settings)
        self._limit_s = limit_s
        self._listener = listener
        self._publish = publish
        self._used = used
        self._stream: STTStream | None = None
        self._discarding: DiscardingSTTStream | None = None  # the stream again, if it is one
        self._early: list[Step] = []  # what happened while no stream was open
        self._early_ended = 0  # how much of it is about utterances that have ended
        self._given_bytes = 0  # of the utterance that has not ended
        self._lost: Exception | None = None  # what cost that utterance its beginning
        self._ended: deque[_Ended] = deque()
        self._failures = 0
        self._opening = anyio.CancelScope()
        self._broken = False
        self._wanted = anyio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        """How many utterances have ended whose transcripts are still to come."""
        return sum(not ended.forgotten for ended in self._ended)

    def push(self, pcm: bytes) -> None:
        """Add sound to the utterance. PCM, signed 16-bit little-endian, mono, 16000 Hz."""
        self._given_bytes += len(pcm)
        if self._stream is None or self._lost is not None:
            self._do(lambda stream: stream.push(pcm))
            return
        try:
            self._stream.push(pcm)
        except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
            self._break(error)

    def checkpoint(self) -> None:
        """Ask for a tentative transcript of the utterance so far."""
        if self._given_bytes:
            self._do(lambda stream: stream.checkpoint())

    def end(self, *, unchanged: bool = False) -> None:
        """End the utterance; `unchanged` says that there was no speech after the last checkpoint.

        Without sound the transcript is empty, and comes at once.
        """
        given_bytes, self._given_bytes = self._given_bytes, 0
        lost, self._lost = self._lost, None
        if lost is not None:
            self._wanted.set()  # so that the next utterance finds a stream
            self._tell_failure(lost)
        elif given_bytes:
            self._count(given_bytes)
            self._end(_Ended(_now_s()), unchanged=unchanged)
        else:
            self._listener.recognised(Transcript("", "final"))

    def discard(self) -> None:
        """Forget the sound of the utterance; another begins."""
        given_bytes, self._given_bytes = self._given_bytes, 0
        lost, self._lost = self._lost, None
        if not given_bytes or lost is not None:
            return
        self._count(given_bytes)
        if self._stream is None:
            del self._early[self._early_ended :]
        elif (stream := self._discarding) is not None:
            self._do(lambda _: stream.discard())
        else:
            self._end(_Ended(_now_s(), forgotten=True))

    def forget(self) -> None:
        """Want no transcript of the utterances that have ended."""
        for ended in self._ended:
            ended.forgotten = True

    def _end(self, ended: _Ended, *, unchanged: bool = False) -> None:
        self._ended.append(ended)
        if self._timer is None:
            self._watch(ended.at_s)
        self._do(lambda stream: stream.end_utterance(unchanged=unchanged))
        self._early_ended = len(self._early)

    def _count(self, given_bytes: int) -> None:
        self._used(self._stt, given_bytes / (WIDTH_BYTES * STT_RATE_HZ))

    def _do(self, step: Step) -> None:
        """Take a step of the stream, now or as soon as there is one."""
        if self._lost is not None:
            return
        if self._stream is None:
            self._early.append(step)
            self._wanted.set()
            return
        try:
            step(self._stream)
        except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
            self._break(error)

    async def run(self) -> None:
        """Recognise until cancelled."""
        while True:
            self._broken = False
            self._wanted = anyio.Event()
            failure: Exception | None = None
            with anyio.CancelScope() as self._opening:
                try:
                    await self._listen()
                except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
                    failure = error
            if failure is not None and not self._broken:
                self._break(failure)
            await self._wanted.wait()

    async def _listen(self) -> None:
        async with self._stt.object.stream(self._settings) as stream:
            self._stream = stream
            self._discarding = stream if isinstance(stream, DiscardingSTTStream) else None
            early, self._early, self._early_ended = self._early, [], 0
            for step in early:
                step(stream)
            transcripts = aiter(stream)
            try:
                async for transcript in transcripts:
                    self._take(transcript)
            finally:
                if isinstance(transcripts, AsyncGenerator):
                    await transcripts.aclose()
        raise ProviderBadReply("the stream of transcripts ended by itself")

    def _take(self, transcript: Transcript) -> None:
        if self._broken:
            return  # it failed, and is only being closed
        if transcript.kind != "final":
            if not self._ended:
                self._listener.guessed(transcript)
            return
        if not self._ended:
            raise ProviderBadReply("a final transcript came that nobody had asked for")
        ended = self._ended.popleft()
        self._failures = 0
        self._stop_watch()
        if self._ended:
            self._watch(_now_s())
        if not ended.forgotten:
            self._listener.recognised(transcript)

    def _break(self, error: Exception) -> None:
        """Give the stream up, and with it the utterances that it knew of."""
        self._broken = True
        self._opening.cancel()
        self._stream = self._discarding = None
        self._early.clear()
        self._early_ended = 0
        self._stop_watch()
        wanted = self.pending > 0
        self._ended.clear()
        report(self._stt, error, self._publish)
        if self._given_bytes:
            self._lost = error
        if wanted:
            self._wanted.set()
            self._tell_failure(error)

    def _tell_failure(self, error: Exception) -> None:
        self._failures += 1
        self._listener.recognition_failed(error, self._failures)

    def _watch(self, since_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(since_s + self._limit_s, self._late)

    def _stop_watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        self._break(ProviderTimedOut("no transcript in time"))

    def close(self) -> None:
        """Watch no longer; called when `run` has ended."""
        self._stop_watch()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
