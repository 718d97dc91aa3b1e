"""Fixed phrases of a call: a greeting, an apology."""

from __future__ import annotations

from jackfield.contracts.tts import Voice
from jackfield.dialogue.call.reply import Means
from jackfield.dialogue.call.saying import Outcome, Saying, SayingWatcher
from jackfield.dialogue.waterfall import Waterfall


class Announcement(Saying):
    """Says a phrase; nothing of it is stored. With `apology_for`, a code, it counts as failed."""

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

    async def _run(self) -> None:
        if self.failure is None:
            self._write(self._phrase)
        means = self._means
        if means.tts is not None:
            rate_hz = means.floor.leg.rate_hz
            self._give(await means.phrases.sound(means.tts, self._voice, self._phrase, rate_hz))
        await self._heard_to_the_end()

    def _heard_text(self, heard_s: float, outcome: Outcome) -> str:
        return self._phrase if outcome == "ok" else ""
