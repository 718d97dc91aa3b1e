"""Text as eSpeak takes it: without what cannot be spoken, in pieces that are soon done."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_MOST_CHARS: Final = 200
_PIECE_ENDS: Final = (
    (re.compile(r"[.!?…。！？]+[\"”’)]*\s+|[。！？]+|\n+"), 1),
    (re.compile(r"[,;:，、；：]\s*|\s[-–—]\s"), 40),
    (re.compile(r"\s"), 40),
)
"""Where a long text may be cut, best first, each with the least characters before it."""


def speakable(text: str) -> str:
    """Put spaces in place of control characters; eSpeak ends at the first null."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def pieces(text: str) -> Iterator[str]:
    """Cut text into pieces that have something to say."""
    while text:
        cut = _cut(text)
        piece, text = text[:cut].strip(), text[cut:]
        if any(_is_said(char) for char in piece):
            yield piece


def _is_said(char: str) -> bool:
    """Whether it is a letter, a digit or a symbol, such as an emoji, that has a name."""
    return char.isalnum() or unicodedata.category(char) in ("So", "Sm", "Sc")


def _cut(text: str) -> int:
    if len(text) <= _MOST_CHARS:
        return len(text)
    for ends, least_chars in _PIECE_ENDS:
        cuts = [end for found in ends.finditer(text, 0, _MOST_CHARS) if (end := found.end()) >= least_chars]
        if cuts:
            return cuts[-1]
    return _MOST_CHARS
