"""One speaker's sound, for a whole call over one connection."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Final, Literal, Self

import anyio

from jackfield import ProviderError, ProviderTimedOut, ProviderUnavailable
from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings
from jackfield.workers import Workers
from jackfield_stt_azure.options import AzureSTTOptions
from jackfield_stt_azure.recogniser import Event, Heard, PartEnded, Recogniser
from jackfield_stt_azure.sound import Sound

_BYTES_PER_S: Final = STT_RATE_HZ * 2


@dataclass(slots=True)
class _Cut:
    """The end of a part of the sound, and what is told when its words have come."""

    answer: Literal["tentative", "final", "nothing"]
    asked_s: float


class AzureStream:
    """Cuts the sound where a transcript is asked for: the service then finishes what it hears at once.

    `retire` is given the recogniser in the end, and closes it in the background.
    """

    def __init__(
        self,
        options: AzureSTTOptions,
        settings: TranscriptionSettings,
        workers: Workers,
        retire: Callable[[Recogniser], None],
    ) -> None:
        self._options = options
        self._languages = options.spoken(settings.language)
        self._hints = settings.hints
        self._workers = workers
        self._retire = retire
        self._sound = Sound()
        self._recogniser: Recogniser | None = None
        self._running = False
        """Whether the service is hearing a part."""
        self._cuts: deque[_Cut] = deque()
        self._guess: Transcript | None = None
        """What was told at the last checkpoint of the utterance that has not ended."""
        self._phrases: list[Heard] = []
        """Of the utterance that the service is hearing."""
        self._begin_s = 0.0
        """When that began, in seconds of sound since the first."""
        self._ready: deque[Transcript] = deque()
        self._error: ProviderError | None = None
        self._told_s = -math.inf
        self._wake = anyio.Event()
        self._closed = False

    def push(self, pcm: bytes) -> None:
        self._sound.push(pcm)
        if not self._running:
            self._wake.set()

    def checkpoint(self) -> None:
        self._take_guess_back()
        self._cut("tentative")

    def end_utterance(self, *, unchanged: bool = False) -> None:
        guess, self._guess = self._guess, None
        if unchanged and self._cuts and self._cuts[-1].answer == "tentative":
            self._sound.drop()
            self._cuts[-1].answer = "final"
        elif unchanged and guess is not None and not self._cuts:
            self._sound.drop()
            self._tell(replace(guess, kind="final"))
            self._cut("nothing")
        else:
            self._take_guess_back()
            self._cut("final")

    def discard(self) -> None:
        self._guess = None
        self._take_guess_back()
        self._sound.drop()
        while self._ready and self._ready[-1].kind != "final":
            self._ready.pop()
        if self._cuts and self._cuts[-1].answer == "tentative":
            self._cuts[-1].answer = "nothing"
        else:
            self._cut("nothing")

    def _take_guess_back(self) -> None:
        if self._cuts and self._cuts[-1].answer == "tentative" and self._sound.join():
            self._cuts.pop()

    def _cut(self, answer: Literal["tentative", "final", "nothing"]) -> None:
        self._sound.cut()
        self._cuts.append(_Cut(answer, _now_s()))
        self._skip_what_is_silent()
        self._wake.set()

    def _skip_what_is_silent(self) -> None:
        while not self._running and self._cuts and self._sound.skip():
            self._answer(self._cuts.popleft())

    def _answer(self, cut: _Cut) -> None:
        if cut.answer == "tentative":
            self._guess = self._transcript("tentative", self._phrases)
            self._tell(self._guess)
            return
        if cut.answer == "final":
            self._tell(self._transcript("final", self._phrases))
        self._phrases = []
        self._begin_s = self._sound.read_bytes / _BYTES_PER_S

    def _tell(self, transcript: Transcript) -> None:
        if self._ready and self._ready[-1].kind == "partial":
            self._ready.pop()  # nobody has read the older guess
        self._ready.append(transcript)
        self._wake.set()

    def _transcript(self, kind: Literal["partial", "tentative", "final"], phrases: list[Heard]) -> Transcript:
        text = " ".join(phrase.text for phrase in phrases)
        if not phrases:
            return Transcript(text, kind, language=self._languages[0] if len(self._languages) == 1 else None)
        sure = [phrase.confidence for phrase in phrases if phrase.confidence is not None]
        start_s = max(0.0, phrases[0].start_s - self._begin_s)
        return Transcript(
            text,
            kind,
            start_s=start_s,
            end_s=max(start_s, phrases[-1].end_s - self._begin_s),
            confidence=sum(sure) / len(sure) if sure else None,
            language=phrases[-1].language,
        )

    def _take(self, event: Event) -> None:
        """Hear what the recogniser tells; called on the event loop."""
        self._told_s = _now_s()
        if self._closed or self._error is not None:
            return
        if isinstance(event, ProviderError):
            self._error = event
        elif isinstance(event, PartEnded):
            self._end_part()
        elif not (self._cuts and self._cuts[0].answer == "nothing"):
            phrases = [*self._phrases, event]
            if event.lasting:
                self._phrases = phrases
            self._tell(self._transcript("partial", phrases))
        self._wake.set()

    def _end_part(self) -> None:
        self._running = False
        if not self._cuts:
            self._error = ProviderUnavailable("Azure Speech ended the recognition by itself.")
            return
        self._answer(self._cuts.popleft())
        self._skip_what_is_silent()

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        while not self._closed:
            if self._ready:
                yield self._ready.popleft()
            elif self._error is not None:
                raise self._error
            elif self._recogniser is not None and not self._running and self._sound.waiting:
                self._running = True
                self._sound.begin()
                await self._workers.run(self._recogniser.start)
                self._sound.allow_end()
            else:
                await self._news()

    async def _news(self) -> None:
        self._wake = anyio.Event()
        until_s = math.inf
        if self._cuts:
            until_s = max(self._cuts[0].asked_s, self._told_s) + self._options.timeout_s
        with anyio.CancelScope(deadline=until_s) as waiting:
            await self._wake.wait()
        if waiting.cancelled_caught:
            self._error = ProviderTimedOut(
                f"Azure Speech told nothing for {self._options.timeout_s:g} s after the end of an utterance."
            )

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def tell(event: Event) -> None:
            with suppress(RuntimeError):  # the event loop is gone, and with it whoever listened
                loop.call_soon_threadsafe(self._take, event)

        build = partial(Recogniser, self._options, self._languages, self._hints, self._sound, tell)
        try:
            self._recogniser = await self._workers.run(build)
        except RuntimeError:  # the only one that the SDK raises; it may quote what it was given
            raise ProviderUnavailable("The Azure Speech SDK does not accept the region or host.") from None
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closed = True
        self._wake.set()
        recogniser, self._recogniser = self._recogniser, None
        if recogniser is not None:
            self._retire(recogniser)


def _now_s() -> float:
    return asyncio.get_running_loop().time()  # anyio's own clock is not to be had in callbacks of threads
