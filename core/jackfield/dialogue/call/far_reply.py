"""One answer of a speech-to-speech model whose sound goes past the server."""

from __future__ import annotations

from typing import Final, Literal

import anyio

from jackfield.dialogue.call.heard import heard_text
from jackfield.dialogue.call.model_reply import ModelReply
from jackfield.dialogue.call.saying import Outcome, loop_time_s

_BEGINNING: Final = bytes(2)
"""Stands for the sound, which begins elsewhere."""
_SILENT_S: Final = 30.0
"""Longest time in which nothing is heard, or no words are told of what is."""
_SLOWEST_S: Final = 0.5
"""For a character, at the slowest: of Chinese, at half the speed."""


class FarReply(ModelReply):
    """Has words alone. It is heard from when that is told on; where it is cut, time tells the words heard."""

    def sound(self, pcm: bytes) -> None:
        """There is none."""

    def finish(self) -> None:
        """All words came, and they are ahead of what is heard."""

    def playback(self, state: Literal["started", "stopped", "cleared"]) -> None:
        """The user begins to hear it, has heard all of it, or hears no more."""
        if self.over:
            return
        if state == "started":
            self._give(_BEGINNING)
        elif state == "stopped":
            self.waterfall.reached("played")
            self._finish("ok")
            self._scope.cancel()
        else:
            self.interrupt()

    async def _run(self) -> None:
        await self._until_released()
        began_s = loop_time_s()
        while (due_s := began_s + self._longest_s()) > loop_time_s():  # noqa: ASYNC110  # more words move it
            await anyio.sleep_until(due_s)
        self.playback("stopped")  # which was not told: the session may have missed it

    def _longest_s(self) -> float:
        """Seconds after which all of it must have been heard."""
        return _SILENT_S + _SLOWEST_S * len(self._passage.text)

    def _heard_text(self, heard_s: float, outcome: Outcome) -> str:
        if outcome == "ok":
            return self._passage.text.strip()
        self._passage.duration_s = heard_s
        return heard_text([self._passage], heard_s)
