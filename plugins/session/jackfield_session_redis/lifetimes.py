"""Seconds as Redis counts them."""

from __future__ import annotations

import math
from typing import Final

_LONGEST_MS: Final = 10**15  # Redis adds it to the time of day, and has 64 bits for both


def milliseconds(ttl_s: float) -> int:
    """Give a life of at least one millisecond; Redis refuses shorter ones."""
    return max(1, int(min(math.ceil(ttl_s * 1000) if math.isfinite(ttl_s) else _LONGEST_MS, _LONGEST_MS)))
