"""The words of a message, however they are written."""

from __future__ import annotations

from typing import Final

from jackfield.text import normalise

_FINAL: Final = ".,;:!?\u2026\u3002\uff1f\uff01\u061f\u0964 "
"""Punctuation that may end a sentence, in Latin, Chinese, Arabic and Devanagari script. Other marks may be
part of a name, such as C#."""


def wording(text: str) -> str:
    """Give the text in lower case, its white space as single blanks, without punctuation at its end."""
    words = " ".join(normalise(text).casefold().split())
    return words.rstrip(_FINAL) or words
