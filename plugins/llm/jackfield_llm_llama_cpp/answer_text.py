"""The text of an answer, out of the model's pieces."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class AnswerText:
    """Joins pieces to whole characters and ends before the first stop text.

    Text that may turn out to be the beginning of a stop text is held back until that is known.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """Text that is now certain, maybe none; sets `stopped` when a stop text is complete."""
        return self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """What was held back, when the answer ended otherwise than by a stop text."""
        if self.stopped:
            return ""
        text = self._release(self._decoder.decode(b"", final=True)) + self._held
        self._held = ""
        return text

    def _release(self, text: str) -> str:
        if not self._stops or not text:
            return text
        text = self._held + text
        ends = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if ends:
            self.stopped = True
            self._held = ""
            return text[: min(ends)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`, and not the whole of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
