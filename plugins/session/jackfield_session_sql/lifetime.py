"""How long things live, as databases count it."""

from __future__ import annotations

from typing import Final

_MOST_MS: Final = 2**52  # a hundred thousand years; what comes after the clock is added still fits


def in_ms(seconds: float) -> int:
    """Give whole milliseconds, at least one."""
    return int(min(max(seconds * 1000, 1), _MOST_MS))
