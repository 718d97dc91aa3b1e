"""The shared role: values, counters and leases that expire."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

from jackfield.contracts.session import Lease
from jackfield_session_memory.expiring import Bounds, ExpiringTable
from jackfield_session_memory.options import MemoryOptions


class MemoryShared:
    """Values, counters and leases, each with names of their own.

    Full, it refuses new ones: giving up a counter of failed logins or a used nonce would let somebody in.
    """

    def __init__(self, options: MemoryOptions, clock: Callable[[], float]) -> None:
        bounds = Bounds(options.max_shared_keys, options.max_shared_bytes, evicts=False)
        self._values: ExpiringTable[str] = ExpiringTable("shared values", bounds, clock)
        self._counters: ExpiringTable[int] = ExpiringTable("counters", bounds, clock)
        self._leases: ExpiringTable[Lease] = ExpiringTable("leases", bounds, clock)
        self._tokens = itertools.count(1)  # one row for all keys, so that no key's tokens ever fall back

    async def put(self, key: str, value: str, *, ttl_s: float, only_if_absent: bool = False) -> bool:
        if only_if_absent and self._values.get(key) is not None:
            return False
        self._values.set(key, value, sys.getsizeof(value), ttl_s)
        return True

    async def get(self, key: str) -> str | None:
        return self._values.get(key)

    async def take(self, key: str) -> str | None:
        return self._values.pop(key)

    async def count(self, key: str, *, ttl_s: float, by: int = 1) -> int:
        known = self._counters.get(key)
        if known is None:
            self._counters.set(key, by, sys.getsizeof(by), ttl_s)
            return by
        self._counters.replace(key, known + by)
        return known + by

    async def lease(self, key: str, *, ttl_s: float) -> Lease | None:
        if self._leases.get(key) is not None:
            return None
        lease = Lease(key, next(self._tokens))
        self._leases.set(key, lease, sys.getsizeof(lease), ttl_s)
        return lease

    async def renew(self, lease: Lease, *, ttl_s: float) -> bool:
        return self._leases.get(lease.key) == lease and self._leases.touch(lease.key, ttl_s)

    async def release(self, lease: Lease) -> bool:
        return self._leases.get(lease.key) == lease and self._leases.pop(lease.key) is not None
