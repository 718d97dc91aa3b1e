"""What is heard of one speaker: sound in, transcripts printed, as in a live call but without an answer."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import anyio

from jackfield.assembly import Built
from jackfield.audio.pcm import duration_s
from jackfield.cli.transcript_lines import Line, TranscriptLines
from jackfield.config.sections import CallSection
from jackfield.contracts.stt import STT, STT_RATE_HZ, Transcript, TranscriptionSettings
from jackfield.contracts.vad import VAD
from jackfield.dialogue.call.ear import Ear
from jackfield.dialogue.call.recognition import Recognition
from jackfield.dialogue.call.windows import SpeechWindows
from jackfield.text import normalise


@dataclass(frozen=True, slots=True)
class _Utterance:
    """One that has ended: where in the sound it was, and when it was handed over."""

    start_s: float
    end_s: float
    at_s: float


class Hearing:
    """Takes sound at 16000 Hz and prints what is said, until `run` is cancelled.

    With a detector it is cut into utterances where the speaker pauses. Sound without an end is cut after
    the settings' `utterance_seconds`.
    """

    def __init__(
        self,
        stt: Built[STT],
        vad: VAD | None,
        settings: TranscriptionSettings,
        call: CallSection,
        limit_s: float,
        lines: TranscriptLines,
    ) -> None:
        self.heard = False
        """Whether there were words."""
        self.failed = anyio.Event()
        """Set once it cannot go on; `finish` then raises."""
        self._failure: Exception | None = None
        self._detects = vad is not None
        self._lines = lines
        self._waiting: deque[_Utterance] = deque()
        self._settled = anyio.Event()
        self._unchanged = False
        self._recognition = Recognition(
            stt, settings, limit_s=limit_s, listener=self, publish=_nobody, used=_nowhere
        )
        windows = SpeechWindows(vad) if vad else None
        self._ear = Ear(rate_hz=STT_RATE_HZ, detector=windows, settings=call, listener=self)

    async def run(self) -> None:
        """Recognise until cancelled."""
        try:
            await self._recognition.run()
        finally:
            self._recognition.close()

    def feed(self, pcm: bytes) -> None:
        """Take more sound as it comes."""
        self._ear.feed(pcm)

    def feed_whole(self, pcm: bytes) -> None:
        """Take a whole recording, as one utterance."""
        self._recognition.push(pcm)
        length_s = duration_s(pcm, STT_RATE_HZ)
        self.speech_ended(length_s, length_s)

    async def finish(self) -> None:
        """End the utterance, if there is one, and wait until all is printed.

        :raises ProviderError: when something failed.
        """
        self._ear.end_speech()
        while self._waiting and self._failure is None:
            self._settled = anyio.Event()
            await self._settled.wait()
        self._lines.clear()
        if self._failure is not None:
            raise self._failure

    def speech_started(self, at_s: float) -> None:
        self._unchanged = False

    def sound(self, pcm: bytes) -> None:
        self._recognition.push(pcm)

    def short_silence(self) -> None:
        self._unchanged = True
        self._recognition.checkpoint()

    def speech_resumed(self) -> None:
        self._unchanged = False

    def speech_ended(self, spoken_s: float, silent_since_s: float) -> None:
        start_s = max(0.0, silent_since_s - spoken_s)
        self._waiting.append(_Utterance(start_s, silent_since_s, time.monotonic()))
        unchanged, self._unchanged = self._unchanged, False
        self._recognition.end(unchanged=unchanged)

    def detector_failed(self, error: Exception) -> None:
        self._fail(error)

    def guessed(self, transcript: Transcript) -> None:
        self._lines.guess(transcript.text)

    def recognised(self, transcript: Transcript) -> None:
        utterance = self._waiting.popleft()
        self._settled.set()
        text = normalise(transcript.text)
        if not text:
            self._lines.clear()
            return
        self.heard = True
        start_s, end_s = utterance.start_s, utterance.end_s
        if not self._detects and transcript.end_s > transcript.start_s:  # all of the sound was given
            start_s, end_s = start_s + transcript.start_s, start_s + transcript.end_s
        line = Line(text, round(start_s, 3), round(end_s, 3), transcript.confidence, transcript.language)
        self._lines.print(line, time.monotonic() - utterance.at_s)

    def recognition_failed(self, error: Exception, in_a_row: int) -> None:
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
        self.failed.set()
        self._settled.set()


def _nobody(_event: object) -> None:
    """No observer is told."""


def _nowhere(_stt: object, _seconds: float) -> None:
    """No figures are kept."""
