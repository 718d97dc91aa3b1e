"""Plain text in columns, for a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import Final

_GAP: Final = "  "
_NARROWEST: Final = 30


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows under headings; the last column is wrapped to the terminal's width."""
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    room = max(_NARROWEST, shutil.get_terminal_size((110, 24)).columns - before)
    return "\n".join(line for row in lines for line in _laid_out(row, widths, before, room))


def _laid_out(row: Sequence[str], widths: Sequence[int], before: int, room: int) -> list[str]:
    *cells, last = row
    start = "".join(cell.ljust(width) + _GAP for cell, width in zip(cells, widths, strict=False))
    first, *others = textwrap.wrap(last, room) or [""]
    return [(start + first).rstrip(), *(" " * before + other for other in others)]
