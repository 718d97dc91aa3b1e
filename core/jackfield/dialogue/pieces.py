"""Cutting text that is still being written into pieces that can be spoken already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sentencex import get_sentence_boundaries

_ENDERS: Final = frozenset(".!?…。！？｡।॥؟۔።\n")  # full stops of other scripts are meant
_LONGEST: Final = 400
"""Characters after which a sentence is cut at a space, so that speech begins all the same."""


class Pieces:
    """Takes text as it comes and gives whole sentences, looking only at what was not given yet."""

    def __init__(self, language: str | None) -> None:
        self._language = (language or "en").partition("-")[0]
        self._rest = ""

    def add(self, text: str) -> list[str]:
        """Take more text; gives the sentences that are complete now."""
        self._rest += text
        if len(self._rest) > _LONGEST:
            return self._cut()
        if _ENDERS.isdisjoint(self._rest[:-1]):
            return []  # the usual case, a word in the middle of a sentence, costs no more than this
        return self._cut()

    def end(self) -> list[str]:
        """Give what is left, once no more text comes."""
        rest, self._rest = self._rest, ""
        return _spoken([rest])

    def _cut(self) -> list[str]:
        *done, last = (found["text"] for found in get_sentence_boundaries(self._language, self._rest))
        *more, self._rest = _short(last)
        return _spoken([*done, *more])


def _spoken(texts: Iterable[str]) -> list[str]:
    """What of the texts can be spoken, in pieces that are not too long."""
    return [piece.strip() for text in texts for piece in _short(text) if any(map(str.isalnum, piece))]


def _short(text: str) -> list[str]:
    """Cut at spaces, or anywhere in a text that has none."""
    pieces = []
    while len(text) > _LONGEST:
        at = text.rfind(" ", 0, _LONGEST) + 1 or _LONGEST
        pieces.append(text[:at])
        text = text[at:]
    return [*pieces, text]
