"""Where the time of a turn goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal

from jackfield.dialogue.steps import Steps

Stage = Literal[
    "decoded",
    "speech_end",
    "endpoint",
    "transcript",
    "first_token",
    "first_sentence",
    "first_audio",
    "answered",
    "spoken",
    "played",
    "interrupted",
    "stored",
    "stt_failover",
    "llm_failover",
    "tts_failover",
]


class Waterfall:
    """Seconds from the beginning of a turn to the first time that each stage was reached, and its `steps`.

    `began_s` is when the turn began on `clock`, now unless it is given. It may be corrected later.
    """

    def __init__(
        self, began_s: float | None = None, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self.began_s = clock() if began_s is None else began_s
        self._stages: dict[str, float] = {}
        self.steps = Steps(clock)

    def reached(self, stage: Stage, at_s: float | None = None) -> None:
        """Note a stage, now or at another time of the clock, unless it was reached before."""
        if stage not in self._stages:
            self._stages[stage] = self._clock() if at_s is None else at_s

    def seconds(self) -> Mapping[str, float]:
        """Stage to seconds, in the order in which they were reached."""
        reached = sorted(self._stages.items(), key=lambda stage: stage[1])
        return {stage: at_s - self.began_s for stage, at_s in reached}

    def total_s(self) -> float:
        """Seconds since the turn began."""
        return self._clock() - self.began_s

    def __str__(self) -> str:
        return ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in self.seconds().items())
