"""One answer of a speech-to-speech model: its sound and its words come side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final, Literal

import anyio

from jackfield.assembly import Built
from jackfield.audio.pcm import WIDTH_BYTES, duration_s
from jackfield.audio.resample import Resampler
from jackfield.contracts.realtime import Realtime
from jackfield.contracts.turn import TurnRequest
from jackfield.dialogue.call.exchanges import Question
from jackfield.dialogue.call.heard import Passage, heard_text
from jackfield.dialogue.call.reply import Means
from jackfield.dialogue.call.saying import Outcome, Saying, SayingWatcher
from jackfield.dialogue.chronicle import new_turn_id
from jackfield.dialogue.waterfall import Waterfall
from jackfield.traceparent import traceparent

_SHORTEST_WAIT_S: Final = 0.05


@dataclass(slots=True)
class ModelTurn:
    """What is told of a turn that a speech-to-speech model answers."""

    request: TurnRequest
    key: str
    llm: Built[Realtime]
    """Who answers."""
    plugin: str
    """The one that serves, where `llm` is a chain."""
    waterfall: Waterfall
    call: str
    id: str = field(default_factory=new_turn_id)
    outcome: Literal["ok", "failed", "cancelled", "interrupted"] = "cancelled"
    error: str = ""
    traceparent: str = field(default_factory=traceparent.get)


class ModelReply(Saying):
    """Plays the item `name` of a session at `rate_hz`, as an answer to `questions`.

    The model is faster than speech: what is ahead of the listener by more than the call allows waits here.
    """

    def __init__(
        self,
        means: Means,
        watcher: SayingWatcher,
        turn: ModelTurn,
        *,
        name: str,
        rate_hz: int,
        questions: Sequence[Question],
        ended: Callable[[ModelReply], None],
    ) -> None:
        super().__init__(means.floor, watcher, turn.waterfall)
        self.name = name
        self.questions = questions
        self._means = means
        self._turn = turn
        self._told_ended = ended
        self._resampler = Resampler(rate_hz, means.floor.leg.rate_hz)
        self._passage = Passage("", 0.0)
        self._pieces: deque[bytes] = deque()
        self._all_came = False
        self._came_bytes = 0
        self._came_hz = rate_hz
        self._more = anyio.Event()
        means.runner.chronicle.begun(turn)

    @property
    def length_ms(self) -> int:
        """Milliseconds of the sound that came, rounded up."""
        return ceil(self._came_bytes * 1000 / (self._came_hz * WIDTH_BYTES))

    def sound(self, pcm: bytes) -> None:
        """More sound came, at the rate of the session."""
        self._came_bytes += len(pcm)
        self._add(self._resampler.feed(pcm))

    def words(self, text: str, *, done: bool) -> None:
        """More words came, or the last of them."""
        if text:
            self._passage.text += text
            self._write(text)
        if done:
            self.finish()

    def finish(self) -> None:
        """All of it came."""
        if not self._all_came:
            self._add(self._resampler.flush())
            self._passage.complete = True
            self._all_came = True
            self._more.set()

    def fail(self, error: Exception) -> None:
        """No more of it will come, and no more of it is heard."""
        self.failure = self._turn.error = type(error).__name__
        self.interrupt()

    def _add(self, pcm: bytes) -> None:
        if pcm and self._floor.speaks:
            self._passage.duration_s += duration_s(pcm, self._floor.leg.rate_hz)
            self._pieces.append(pcm)
            self._more.set()

    async def _run(self) -> None:
        while True:
            while self._pieces:
                ahead_s = self._ahead_s() - self._means.ahead_s
                if ahead_s > 0:
                    await anyio.sleep(max(ahead_s, _SHORTEST_WAIT_S))
                    continue
                self._give(self._pieces.popleft())
            if self._all_came:
                break
            self._more = anyio.Event()
            await self._more.wait()
        await self._heard_to_the_end()

    def _providers(self) -> Mapping[str, str]:
        return {"realtime": self._turn.plugin}

    def _heard_text(self, heard_s: float, outcome: Outcome) -> str:
        if outcome == "ok":
            return self._passage.text.strip()
        if not self._floor.speaks:
            return self._shown.strip()
        return heard_text([self._passage], heard_s)

    def _ended(self, outcome: Outcome) -> None:
        unheard = outcome == "interrupted" and not self.sounding
        self._turn.outcome = "failed" if self.failure else "cancelled" if unheard else outcome
        self._means.runner.chronicle.ended(self._turn)
        self._told_ended(self)
