"""One answer of a speech-to-speech model whose sound goes past the server."""

from __future__ import annotations

from typing import Final, Literal

import anyio

from jackfield.dialogue.call.heard import heard_text
from jackfield.dialogue.call.model_reply import ModelReply
from jackfield.dialogue.call.saying import Outcome

_BEGINNING: Final = bytes(2)
"""Stands for the sound, which begins elsewhere."""


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
        await anyio.sleep_forever()

    def _heard_text(self, heard_s: float, outcome: Outcome) -> str:
        if outcome == "ok":
            return self._passage.text.strip()
        self._passage.duration_s = heard_s
        return heard_text([self._passage], heard_s)
