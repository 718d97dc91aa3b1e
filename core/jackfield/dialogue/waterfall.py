"""Where the time of a turn goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

Stage = Literal[
    "decoded", "transcript", "first_token", "first_sentence", "first_audio", "answered", "spoken", "stored"
]


class Waterfall:
    """Seconds from the beginning of a turn to the first time that each stage was reached."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._stages: dict[str, float] = {}

    def reached(self, stage: Stage) -> None:
        """Note a stage, unless it was reached before."""
        if stage not in self._stages:
            self._stages[stage] = time.perf_counter() - self._began_s

    def seconds(self) -> Mapping[str, float]:
        """Stage to seconds, in the order in which they were reached."""
        return dict(self._stages)

    def total_s(self) -> float:
        """Seconds since the turn began."""
        return time.perf_counter() - self._began_s

    def __str__(self) -> str:
        return ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in self._stages.items())
