"""A clock that a test sets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ManualClock:
    """Call it for the time in seconds, as one calls `time.monotonic`; it stands until it is advanced."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let seconds pass."""
        self.now_s += seconds

    async def advance_async(self, seconds: float) -> None:
        """Let seconds pass; for the fixture `advance` of the session suites."""
        self.advance(seconds)
