"""The voice of one answer: text in pieces becomes sound for a leg, and remembers which text lies where."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from jackfield.assembly import Built
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.audio.resample import Resampler
from jackfield.audio.silence import EndTrimmer
from jackfield.contracts.tts import TTS, IncrementalTTS, SpeechMark, SpeechSettings, TTSOutput
from jackfield.dialogue.breath import breaks_off
from jackfield.dialogue.call.heard import Passage, heard_text
from jackfield.dialogue.call.script import Script
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import ProviderBadReply, ProviderTimedOut
from jackfield.resilience.guard import Patience, guard

_CHUNK_S: Final = 0.1
"""Sound that is worked on in one go; then others have their turn."""
_SHORTEST_WAIT_S: Final = 0.05
_LONGEST_S: Final = 3600.0
"""All waiting for a voice in one answer. What really bounds it is the wait for each output."""


class Mouth:
    """Speaks one answer with one voice.

    `sink` is given the sound at `rate_hz`, in order, about a tenth of a second at once. `ahead_s` tells how
    many seconds of it were not heard yet: while they are more than `ahead_limit_s`, the voice rests. It may
    be silent for `first_s` seconds while it has something to say. A piece that breaks off within a clause
    is spoken without the silence at its end. The stage `first_sentence` of the waterfall and its steps are
    noted here; when sound is heard first is for the owner of the sink to say.
    """

    def __init__(  # noqa: PLR0913  # an answer has just so many sides
        self,
        tts: Built[TTS],
        settings: SpeechSettings,
        *,
        rate_hz: int,
        sink: Callable[[bytes], None],
        ahead_s: Callable[[], float],
        ahead_limit_s: float,
        first_s: float,
        waterfall: Waterfall,
    ) -> None:
        voice_hz = tts.object.rate_hz(settings.voice)
        self._tts = tts
        self._settings = self._noting(settings)
        self._sink = sink
        self._ahead_s = ahead_s
        self._ahead_limit_s = ahead_limit_s
        self._first_s = first_s
        self._waterfall = waterfall
        self._resampler = Resampler(voice_hz, rate_hz)
        self._voice_hz = voice_hz
        self._trimmer: EndTrimmer | None = None
        """For a piece that the next one is to follow without a pause."""
        self._chunk_bytes = int(voice_hz * _CHUNK_S) * WIDTH_BYTES
        self._bytes_per_s = rate_hz * WIDTH_BYTES
        self._given_bytes = 0
        self._passages: list[Passage] = []
        self._now_s = asyncio.get_running_loop().time
        self._wants_sound = False
        """Whether the voice is waited for."""
        self._wants_text = False
        """Whether it waits for text itself: then it may take any time."""

    def _noting(self, settings: SpeechSettings) -> SpeechSettings:
        """Let the step that runs know how a chain goes from one voice to the next."""
        if settings.failover is None:
            return settings
        failover = replace(
            settings.failover,
            asked=self._asked,
            failed=self._failed,
        )
        return replace(settings, failover=failover)

    def _asked(self, section: str, provider: str) -> None:
        self._work.asked(section, provider)

    def _failed(self, section: str, provider: str, error: str) -> None:
        self._work.failed(section, provider, error)

    @property
    def text(self) -> str:
        """The text that was taken to be spoken so far."""
        return "".join(passage.text for passage in self._passages).strip()

    @property
    def given_s(self) -> float:
        """Seconds of sound that the sink was given so far."""
        return self._given_bytes / self._bytes_per_s

    def heard_text(self, heard_s: float) -> str:
        """Give the words of the first `heard_s` seconds: a beginning of `text`, see `heard`."""
        return heard_text(self._passages, heard_s)

    async def speak(self, script: Script) -> None:
        """Speak a script while it is written, each piece while the one before may still play; call it once.

        Pieces are taken to follow each other in the text as they are, white space included. Returns when
        all sound was given to the sink. The script has ended then, also after a failure.

        :raises ProviderError: in one of its categories, when the voice fails or makes no sound at all.
        """
        tts = self._tts.object
        try:
            with anyio.CancelScope() as self._wait:  # one for all outputs, whose deadline moves
                if self._tts.capabilities.streaming and isinstance(tts, IncrementalTTS):
                    await self._speak_on(tts, script)
                else:
                    while (piece := await script.read()) is not None:
                        await self._speak_piece(tts, piece)
            if self._wait.cancelled_caught:
                raise ProviderTimedOut("no output in time")
        finally:
            script.end()
        self._give(self._resampler.flush())
        if self._passages and not self._given_bytes:
            raise ProviderBadReply("no sound came")

    async def _speak_piece(self, tts: TTS, piece: str) -> None:
        passage = self._begin(piece)
        self._trimmer = EndTrimmer(self._voice_hz) if breaks_off(piece) else None
        if self._given_bytes:
            await self._room()
        await self._take(partial(tts.synthesize, piece.strip(), self._settings), passage)

    async def _speak_on(self, tts: IncrementalTTS, script: Script) -> None:
        """All pieces are one passage, whose text grows while its sound does."""
        piece = await script.read()
        if piece is None:
            return
        passage = self._begin(piece)

        def start() -> AsyncGenerator[TTSOutput, None]:
            return tts.stream(self._followed(passage, script), self._settings)

        await self._take(start, passage)

    async def _followed(self, passage: Passage, script: Script) -> AsyncGenerator[str, None]:
        """Yield the text so far, which a repeated request needs again, and then what else comes."""
        yield passage.text
        while True:
            self._wants_text = True
            self._set_deadline()
            try:
                piece = await script.read()
            finally:
                self._wants_text = False
                self._set_deadline()
            if piece is None:
                return
            passage.text += piece
            yield piece

    def _begin(self, piece: str) -> Passage:
        self._waterfall.reached("first_sentence")
        passage = Passage(piece, self.given_s)
        self._passages.append(passage)
        return passage

    async def _take(self, start: Callable[[], AsyncGenerator[TTSOutput, None]], passage: Passage) -> None:
        """Give all sound of a synthesis to the sink."""
        with self._waterfall.steps.begin("tts", self._tts) as self._work:
            await self._give_all(start, passage)
        if self._trimmer is not None:
            trimmer, self._trimmer = self._trimmer, None
            await self._resample(trimmer.end(), passage)
        passage.complete = True

    async def _give_all(self, start: Callable[[], AsyncGenerator[TTSOutput, None]], passage: Passage) -> None:
        def begin() -> AsyncGenerator[TTSOutput, None]:
            passage.words.clear()  # those of an attempt that failed
            return start()

        patience = Patience(_LONGEST_S)
        outputs = guard(begin, first_s=_LONGEST_S, patience=patience, useful=_is_sound)
        async with aclosing(outputs):
            while (output := await self._next(outputs)) is not None:
                if isinstance(output, SpeechMark):
                    if output.kind == "word":
                        passage.words.append(output)
                    continue
                first = not self._given_bytes
                self._work.reached_first()
                await self._resample(output, passage)
                if first:
                    await checkpoint()  # it is sent before more is made
                await self._room()

    async def _next(self, outputs: AsyncGenerator[TTSOutput, None]) -> TTSOutput | None:
        """Wait for the next output, None at the end. A voice that takes too long is given up."""
        self._wants_sound = True
        self._set_deadline()
        output = await anext(outputs, None)
        self._wants_sound = False
        self._set_deadline()
        return output

    def _set_deadline(self) -> None:
        waits = self._wants_sound and not self._wants_text
        self._wait.deadline = self._now_s() + self._first_s if waits else math.inf

    async def _resample(self, pcm: bytes, passage: Passage) -> None:
        if not isinstance(pcm, bytes) or len(pcm) % WIDTH_BYTES:
            raise ProviderBadReply("the voice gave something else than whole samples of sound")
        for start in range(0, len(pcm), self._chunk_bytes):
            if start:
                await checkpoint()
            chunk = pcm[start : start + self._chunk_bytes]
            if self._trimmer is not None:
                chunk = self._trimmer.feed(chunk)
            self._give(self._resampler.feed(chunk))
            passage.duration_s = self.given_s - passage.start_s

    def _give(self, pcm: bytes) -> None:
        if pcm:
            self._given_bytes += len(pcm)
            self._sink(pcm)

    async def _room(self) -> None:
        """Wait until the listener is not too far behind."""
        while (excess_s := self._ahead_s() - self._ahead_limit_s) > 0:  # noqa: ASYNC110  # time passes
            await anyio.sleep(max(excess_s, _SHORTEST_WAIT_S))


def _is_sound(output: TTSOutput) -> bool:
    return isinstance(output, bytes) and bool(output)
