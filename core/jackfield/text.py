"""Text from clients in one spelling, before it is stored, logged or given to a plugin."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Characters that an identifier may not hold, line breaks and tabulators among them."""

_UNWANTED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]+")
_MAX_MARKS: Final = 30
"""Combining marks on one character; no script needs nearly as many (UAX #15, Stream-Safe Text Format)."""
_SHORT_CHARS: Final = 1024


def normalise(text: str) -> str:
    """Give the text as Unicode NFC, with LF line ends, trimmed.

    Control characters but LF and TAB, and lone surrogates, are removed. What comes out may be empty, has
    at least a quarter of the characters that were left before composing, and does not change when it is
    normalised again. In a text longer than 1024 characters no character keeps more than 30 marks.
    """
    text = printable(text).strip()
    if text.isascii():
        return text
    if len(text) > _SHORT_CHARS:
        text = _limit_marks(text)
    return unicodedata.normalize("NFC", text)


def printable(text: str) -> str:
    """Give the text without control characters but LF and TAB, and without lone surrogates."""
    return _UNWANTED.sub("", text)


def _limit_marks(text: str) -> str:
    """Drop marks beyond what any language uses: putting n of them in order takes n squared steps."""
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MAX_MARKS:
            kept.append(character)
    return "".join(kept)
