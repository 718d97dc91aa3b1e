"""Fixed phrases of a call: a greeting, an apology."""

from __future__ import annotations

from datetime import UTC, datetime

from jackfield.audio.pcm import duration_s
from jackfield.contracts.session import StoredMessage
from jackfield.contracts.tts import Voice
from jackfield.contracts.turn import TurnRequest
from jackfield.dialogue.call.heard import Passage, heard_text
from jackfield.dialogue.call.phrases import error_tone
from jackfield.dialogue.call.reply import Means
from jackfield.dialogue.call.saying import Outcome, Saying, SayingWatcher, loop_time_s
from jackfield.dialogue.waterfall import Waterfall


class Announcement(Saying):
    """Says a phrase and keeps nothing of it. With `apology_for`, a code, it counts as failed."""

    def __init__(
        self,
        phrase: str,
        voice: Voice,
        means: Means,
        watcher: SayingWatcher,
        waterfall: Waterfall,
        *,
        apology_for: str | None = None,
    ) -> None:
        super().__init__(means.floor, watcher, waterfall)
        self.failure = apology_for
        self._phrase = phrase
        self._voice = voice
        self._means = means
        self._pcm = b""

    async def _run(self) -> None:
        if self.failure is None:
            self._write(self._phrase)
        means = self._means
        if means.tts is not None:
            rate_hz = means.floor.leg.rate_hz
            self._pcm = await means.phrases.sound(means.tts, self._voice, self._phrase, rate_hz)
            self._give(self._pcm)
        await self._heard_to_the_end()

    def _heard_text(self, heard_s: float, outcome: Outcome) -> str:
        return self._phrase if outcome == "ok" else ""


class Greeting(Announcement):
    """Says the first words of a call, and keeps what was heard of them in the conversation of `request`."""

    def __init__(
        self, request: TurnRequest, phrase: str, voice: Voice, means: Means, watcher: SayingWatcher
    ) -> None:
        super().__init__(phrase, voice, means, watcher, Waterfall(clock=loop_time_s))
        self._request = request

    async def _run(self) -> None:
        try:
            await super()._run()
        finally:
            self._finish("interrupted")
            await self._store()

    def _heard_text(self, heard_s: float, outcome: Outcome) -> str:
        if outcome == "ok" or not self._is_spoken():
            return super()._heard_text(heard_s, outcome)
        sound_s = duration_s(self._pcm, self._means.floor.leg.rate_hz)
        return heard_text([Passage(self._phrase, 0.0, sound_s, complete=True)], heard_s)

    async def _store(self) -> None:
        if self.heard and (self._means.tts is None or self._is_spoken()):
            kind, now = self._request.message_type, datetime.now(UTC)
            await self._means.store(self._request, StoredMessage(self.heard, kind, now, is_user=False))

    def _is_spoken(self) -> bool:
        return self._pcm not in (b"", error_tone(self._means.floor.leg.rate_hz))
