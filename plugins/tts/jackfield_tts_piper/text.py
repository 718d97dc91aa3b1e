"""Text as the voice takes it: without what cannot be spoken, in pieces that are not too long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_MOST_CHARS: Final = 100
"""A piece is planned as a whole before its first sound: short ones come sooner, long ones sound better."""
_PIECE_ENDS: Final = (
    (re.compile(r"[.!?…。！？]+\s+|\n+"), 1),
    (re.compile(r"[,;:，、；：]\s*|\s[-–—]\s"), 20),
    (re.compile(r"\s"), 20),
)
"""Where a long text may be cut, best first, each with the least characters before it."""


def speakable(text: str) -> str:
    """Leave out what is not to be spoken; double brackets would be read as phonemes."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text).translate(
        {ord("["): " ", ord("]"): " "}
    )


def pieces(text: str) -> Iterator[str]:
    """Cut text into pieces that have something to say."""
    while text:
        cut = _cut(text)
        piece, text = text[:cut].strip(), text[cut:]
        if any(char.isalnum() for char in piece):
            yield piece


def _cut(text: str) -> int:
    if len(text) <= _MOST_CHARS:
        return len(text)
    for ends, least_chars in _PIECE_ENDS:
        cuts = [end for found in ends.finditer(text, 0, _MOST_CHARS) if (end := found.end()) >= least_chars]
        if cuts:
            return cuts[-1]
    return _MOST_CHARS
