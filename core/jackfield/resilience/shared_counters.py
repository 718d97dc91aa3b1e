"""Counters of rate limits in a session store, so that all replicas of a server count together."""

from __future__ import annotations

import math
import time

from jackfield.contracts.session import Shared
from jackfield.resilience.guard import store_in_time


class SharedCounters:
    """Sliding windows as the library `limits` has them, over the role `shared` of a store.

    A request costs two operations. Requests at the same instant may each see the others' and all be refused
    where one would have fitted; none too many is let through.
    """

    def __init__(self, shared: Shared, store_s: float) -> None:
        self._shared = shared
        self._store_s = store_s

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a request that fits; one that does not leaves no trace."""
        number, passed_s = divmod(time.time(), expiry)
        current = _name(key, number)
        now = await self._count(current, expiry, amount)
        before = await self._count(_name(key, number - 1), expiry, 0)
        if math.floor(before * (1 - passed_s / expiry) + now) <= limit:
            return True
        await self._count(current, expiry, -amount)
        return False

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Give the count of the window before and its rest in seconds, the present one and its rest."""
        number, passed_s = divmod(time.time(), expiry)
        before = await self._count(_name(key, number - 1), expiry, 0)
        now = await self._count(_name(key, number), expiry, 0)
        left_s = expiry - passed_s
        return before, left_s, now, left_s + expiry

    async def _count(self, name: str, expiry: int, by: int) -> int:
        return await store_in_time(self._shared.count(name, ttl_s=2 * expiry, by=by), self._store_s)


def _name(key: str, number: float) -> str:
    return f"limit:{key}:{int(number)}"
