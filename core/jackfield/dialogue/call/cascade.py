"""The cascade: who speaks when, with a recogniser, a language model and a voice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import anyio
from anyio.abc import TaskGroup

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.config.sections import CallSection
from jackfield.contracts.call import CallLeg, CallTrouble, SpeechStarted, SpeechStopped, UserText
from jackfield.contracts.stt import STT_RATE_HZ, Transcript
from jackfield.dialogue.call.deaf import Deaf
from jackfield.dialogue.call.foresight import Foresight
from jackfield.dialogue.call.recognition import Recognition, RecognitionListener
from jackfield.dialogue.call.repertoire import Repertoire
from jackfield.dialogue.call.responder import Host
from jackfield.dialogue.call.saying import Saying, loop_time_s
from jackfield.dialogue.call.words import count_words, joined, same_words
from jackfield.dialogue.failures import code_of
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import ProviderError
from jackfield.text import normalise

_LOOK_BYTES: Final = 2 * WIDTH_BYTES * STT_RATE_HZ // 5
"""Sound (0.4 s) after which words are asked for, where they decide about an interruption."""
_MOST_FAILURES: Final = 3
"""Failures of the recogniser in a row after which the call cannot go on."""
_MOST_UNJUDGED: Final = 100
"""Windows in a row (about 3 s) that the detector may fail to judge."""


class Cascade:
    """Hears the user out, answers, and gives way. Implements `Responder`.

    At any time there is at most one thing being said. An answer may be prepared before it is certain that
    the user has finished; it is then released, or dropped and never existed.
    """

    def __init__(
        self,
        host: Host,
        leg: CallLeg,
        recognise: Callable[[RecognitionListener], Recognition | Deaf],
        repertoire: Repertoire,
        settings: CallSection,
        *,
        report_interruption: Callable[[], None],
        report_detector: Callable[[ProviderError], None],
    ) -> None:
        self._host = host
        self._leg = leg
        self._recognition = recognise(self)
        self._repertoire = repertoire
        self._foresight = Foresight(repertoire.read_ahead)
        self._unread = False
        """Whether the part was changed and the model has not read how the new one begins."""
        self._settings = settings
        self._report_interruption = report_interruption
        self._report_detector = report_detector
        self._tasks: TaskGroup | None = None
        self._unsaid: deque[Saying] = deque()
        """What is to be said, one after the other."""
        self._wanted = anyio.Event()
        self._saying: Saying | None = None
        self._farewell: Saying | None = None
        """After which the call ends."""
        self._unanswered = ""
        """What the user has said and got no answer to."""
        self._collecting = False
        """Whether an utterance has begun and not ended."""
        self._unchanged = False
        """Whether nothing was said since the last checkpoint."""
        self._doubt = False
        """Whether what is said is paused until it is known whether the user really interrupts."""
        self._unlooked_bytes = 0
        self._unjudged = 0
        self._silent_since_s = 0.0
        self._endpoint_s = 0.0

    async def run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._recognition.run)
                tasks.start_soon(self._repertoire.speak)
                tasks.start_soon(self._say_all)  # here each step would pass through all that awaits this
                if self._saying is None and (greeting := self._repertoire.greeting(self)) is not None:
                    self._say(greeting)
                self._read_part()
                await self._repertoire.prepare()
        finally:
            self._tasks = None
            self._recognition.close()
            if self._saying is not None:
                self._saying.interrupt()

    async def _say_all(self) -> None:
        """Say what is asked for, one after the other: a task of its own for each costs more."""
        while True:
            while self._unsaid:
                await self._unsaid.popleft().run()
            self._wanted = anyio.Event()
            await self._wanted.wait()

    # What the ear hears.

    def speech_started(self, at_s: float) -> None:
        self._host.user_active()
        self._recognition.discard()
        self._collecting = True
        self._unchanged = False
        self._unjudged = 0
        self._leg.tell(SpeechStarted())
        self._yield_to_speech()
        self._read_ahead()

    def _yield_to_speech(self) -> None:
        if self._saying is None or self._doubt:
            return
        if self._saying.sounding and self._settings.min_words:
            self._doubt = True
            self._unlooked_bytes = -round(self._settings.pre_roll_ms / 1000 * WIDTH_BYTES * STT_RATE_HZ)
            self._leg.pause()
        else:
            self.give_way()

    def sound(self, pcm: bytes) -> None:
        self._recognition.push(pcm)
        if self._doubt and not (self._unchanged or self._recognition.gives_partials):
            self._unlooked_bytes += len(pcm)
            if self._unlooked_bytes >= _LOOK_BYTES:
                self._unlooked_bytes = 0
                self._recognition.checkpoint()

    def short_silence(self) -> None:
        if self._saying is None or self._doubt:
            self._silent_since_s = loop_time_s() - self._settings.checkpoint_ms / 1000
            self._unchanged = True
            self._recognition.checkpoint()

    def speech_resumed(self) -> None:
        self._unchanged = False
        if self._saying is not None and not self._saying.released:
            self._stop(self._saying)

    def speech_ended(self, spoken_s: float, silent_since_s: float) -> None:
        self._host.user_active()
        self._endpoint_s = loop_time_s()
        self._silent_since_s = self._endpoint_s - self._host.silent_for_s(silent_since_s)
        self._collecting = False
        self._leg.tell(SpeechStopped())
        unchanged, self._unchanged = self._unchanged, False
        self._recognition.end(unchanged=unchanged)
        self._update()

    def detector_failed(self, error: ProviderError) -> None:
        self._unjudged += 1
        if self._unjudged == 1:
            self._report_detector(error)
            self._leg.tell(CallTrouble("vad_failed"))
        elif self._unjudged == _MOST_UNJUDGED:
            self._apologise("vad_failed", last=True)

    # What the recogniser makes of it.

    def guessed(self, transcript: Transcript) -> None:
        text = normalise(transcript.text)
        if self._doubt and count_words(text) >= self._settings.min_words:
            self.give_way()
        if text and not self._doubt:
            self._leg.tell(UserText(joined(self._unanswered, text), final=False))
        if not self._collecting:
            return
        if transcript.end_of_turn:
            self._host.end_speech()
        elif text and transcript.kind == "tentative" and self._unchanged:
            self._speculate(joined(self._unanswered, text))

    def recognised(self, transcript: Transcript) -> None:
        text = normalise(transcript.text)
        undecided = self._collecting or self._recognition.pending > 0
        if self._doubt:
            if count_words(text) < self._settings.min_words:
                if not undecided:
                    self._resume()
                return
            self.give_way()
        if text:
            self._unanswered = joined(self._unanswered, text)
            self._leg.tell(UserText(self._unanswered, final=True))
        if not undecided:
            self._answer("voice")
        self._update()

    def recognition_failed(self, error: Exception, in_a_row: int) -> None:
        code = code_of("stt", error)
        self._leg.tell(CallTrouble(code))
        self._unanswered = ""
        if in_a_row >= _MOST_FAILURES:
            self._apologise(code, last=True)
        elif self._doubt:
            if not self._collecting:
                self._resume()
        elif not self._collecting:
            self._apologise(code)
        self._update()

    # What the client wants.

    def text(self, text: str) -> None:
        self._host.user_active()
        self.give_way()
        self._unanswered = joined(self._unanswered, text)
        self._answer("text")

    def give_way(self) -> None:
        saying = self._saying
        if saying is None:
            return
        released = saying.released
        self._stop(saying)
        if released and not saying.heard and saying.failure is None:
            self._unanswered = joined(saying.text, self._unanswered)

    def interrupt(self) -> None:
        self._recognition.forget()
        self._unanswered = ""
        if self._saying is not None:
            self._stop(self._saying)
        self._update()

    def played(self, item: int) -> None:
        if self._saying is not None and self._saying.item == item:
            self._saying.played()

    def switch(self, scenario: str) -> None:
        self._repertoire.switch(scenario)
        self._foresight.end()
        self._unread = True
        self._read_part()

    # How the answers go.

    def sounding(self) -> None:
        self._update()

    def over(self, saying: Saying) -> None:
        if saying is self._saying:
            self._saying = None
            self._doubt = False
            self._update()
            self._read_part()
        if saying is self._farewell:
            self._host.hang_up("provider_lost")

    def _speculate(self, text: str) -> None:
        """Prepare the answer to what the user will have said unless they go on."""
        saying = self._saying
        if not self._settings.speculative or self._recognition.pending:
            return
        if saying is not None:
            if saying.released or same_words(saying.text, text):
                return
            self._stop(saying)
        waterfall = Waterfall(self._silent_since_s, clock=loop_time_s)
        self._start(self._repertoire.reply(text, "voice", self, waterfall))

    def _answer(self, message_type: Literal["text", "voice"]) -> None:
        """Answer what is unanswered, with what was prepared where it fits."""
        text, ready = self._unanswered, self._saying
        if ready is not None and not ready.released and not same_words(ready.text, text):
            self._stop(ready)
        if not text:
            return
        if self._saying is None or self._saying.released:
            self.give_way()
            text = self._unanswered
            waterfall = Waterfall(clock=loop_time_s)
            self._start(self._repertoire.reply(text, message_type, self, waterfall))
        self._unanswered = ""
        assert self._saying is not None
        self._saying.text = text
        if message_type == "voice":
            self._time(self._saying.waterfall)
        self._saying.release()
        self._update()

    def _time(self, waterfall: Waterfall) -> None:
        waterfall.began_s = self._silent_since_s
        self._recognition.record.tell(waterfall)
        waterfall.reached("speech_end", self._silent_since_s)
        waterfall.reached("endpoint", self._endpoint_s)
        waterfall.reached("transcript")

    def _apologise(self, code: str, *, last: bool = False) -> None:
        if self._saying is not None:
            self._stop(self._saying)
        apology = self._repertoire.apology(code, self)
        if last:
            self._farewell = apology
        self._say(apology)

    def _say(self, saying: Saying) -> None:
        self._start(saying)
        saying.release()
        self._update()

    def _read_part(self) -> None:
        """Have the model read how a new part begins, once."""
        if self._unread:
            self._read_ahead()

    def _read_ahead(self) -> None:
        """Have the model read what the next prompt begins with, unless something is said, which is first."""
        if self._saying is None and self._tasks is not None:
            self._unread = False
            self._foresight.begin(self._tasks)

    def _start(self, saying: Saying) -> None:
        self._foresight.end()
        self._saying = saying
        self._unsaid.append(saying)
        self._wanted.set()

    def _stop(self, saying: Saying) -> None:
        if saying.sounding:
            self._report_interruption()
        saying.interrupt()

    def _resume(self) -> None:
        self._doubt = False
        self._leg.resume()

    def _update(self) -> None:
        """Let the call know what it is doing now."""
        saying = self._saying
        if saying is not None and saying.sounding:
            self._host.set_state("speaking")
        elif (saying is not None and saying.released) or self._recognition.pending:
            self._host.set_state("thinking")
        else:
            self._host.set_state("listening")
