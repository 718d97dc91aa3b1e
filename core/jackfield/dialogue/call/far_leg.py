"""The leg of a call whose sound goes past the server: time tells what was heard."""

from __future__ import annotations

from typing import Final

from jackfield.contracts.call import CallEvent
from jackfield.dialogue.call.saying import loop_time_s

_RATE_HZ: Final = 24_000


class FarLeg:
    """Implements `CallLeg`. An item is heard from its first `play` on until it is cleared."""

    rate_hz = _RATE_HZ

    def __init__(self) -> None:
        self._item = 0
        self._began_s: float | None = None
        self._heard_s = 0.0

    def play(self, item: int, pcm: bytes) -> None:
        if item != self._item:
            self._item, self._began_s = item, loop_time_s()

    def end(self, item: int) -> None:
        """Whoever hears it tells when it is over."""

    def pause(self) -> None:
        """Nobody could."""

    def resume(self) -> None:
        """Nothing was paused."""

    def clear(self) -> None:
        self._heard_s, self._began_s = self.heard_s(), None

    def heard_s(self) -> float:
        return self._heard_s if self._began_s is None else loop_time_s() - self._began_s

    def ahead_s(self) -> float:
        return 0.0

    def tell(self, event: CallEvent) -> None:
        """The client is told by the model itself."""
