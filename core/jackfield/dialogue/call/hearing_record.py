"""How the recogniser of a call fares: kept between turns, told to each."""

from __future__ import annotations

from dataclasses import replace

from jackfield.assembly import Built
from jackfield.contracts.stt import STT, TranscriptionSettings
from jackfield.dialogue.call.saying import loop_time_s
from jackfield.dialogue.steps import Work
from jackfield.dialogue.waterfall import Waterfall


class HearingRecord:
    """Knows whom a chain of recognisers asks, who fails and who is left. Without one it knows nothing."""

    def __init__(self, stt: Built[STT] | None) -> None:
        self._stt = stt
        self._left_s = 0.0
        self._work = self._begun()

    def noting(self, settings: TranscriptionSettings) -> TranscriptionSettings:
        """Settings of a stream that let this know."""
        if settings.failover is None:
            return settings
        noting = replace(settings.failover, left=self._left, asked=self._asked, failed=self._failed)
        return replace(settings, failover=noting)

    def tell(self, waterfall: Waterfall) -> None:
        """Let a turn know of what was heard for it, now that it is understood; its beginning is known."""
        if self._left_s > waterfall.began_s:
            waterfall.reached("stt_failover", self._left_s)
        if self._stt is None:
            return
        work, self._work = self._work, self._begun(self._work)
        work.began_s = waterfall.began_s
        work.end()
        waterfall.steps.add(work)

    def _left(self) -> None:
        self._left_s = loop_time_s()

    def _asked(self, section: str, provider: str) -> None:
        self._work.asked(section, provider)

    def _failed(self, section: str, provider: str, error: str) -> None:
        self._work.failed(section, provider, error)

    def _begun(self, before: Work | None = None) -> Work:
        work = Work("stt", self._stt, loop_time_s, "")
        if before is not None:
            work.asked(*before.place)  # a chain says so only when that changes
        return work
