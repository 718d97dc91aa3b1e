"""Transcripts on a terminal or in a pipe, a line each."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import Final
from unicodedata import east_asian_width

import click

from jackfield.text import normalise

_CLEAR: Final = "\r\x1b[K"
"""To the beginning of the line, and erase it."""
_ROOM: Final = 2
"""Columns left free: for the sign of what is left out, and so that the line never wraps."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was understood of an utterance, and where in the sound it was; in JSON these are the keys."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None
    language: str | None


class TranscriptLines:
    """Prints finals on standard output, and what is not certain yet where somebody watches standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._watched = sys.stderr.isatty()
        self._guessing = False

    def guess(self, text: str) -> None:
        """Show words in place of the last that were not certain."""
        words = " ".join(normalise(text).split())
        if self._watched and words:
            self._guessing = True
            click.echo(_CLEAR + _fitting(words, shutil.get_terminal_size().columns), nl=False, err=True)

    def print(self, line: Line, took_s: float) -> None:
        """Print an utterance, and how long recognising it took from its end on."""
        self.clear()
        text = " ".join(line.text.split())
        click.echo(json.dumps(asdict(line), ensure_ascii=False) if self._as_json else text)
        length_s = line.end_s - line.start_s
        factor = f", real-time factor {took_s / length_s:.2f}" if length_s > 0 else ""
        told = f"{line.start_s:.1f} to {line.end_s:.1f} s, understood in {took_s:.2f} s{factor}"
        click.echo(f"({told})", err=True)

    def clear(self) -> None:
        """Remove what was not certain."""
        if self._guessing:
            self._guessing = False
            click.echo(_CLEAR, nl=False, err=True)


def _fitting(text: str, columns: int) -> str:
    """Give as much of the end of a text as one line of a terminal holds."""
    room = columns - _ROOM
    for at in range(len(text) - 1, -1, -1):
        room -= 2 if east_asian_width(text[at]) in "WF" else 1
        if room < 0:
            return "…" + text[at + 1 :]
    return text
