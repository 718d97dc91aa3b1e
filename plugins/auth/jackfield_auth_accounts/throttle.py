"""So many of something within a time, counted together with all servers that share the store."""

from __future__ import annotations

import hashlib
import time

from jackfield.contracts.session import Shared
from jackfield.errors import ProtocolError


class Throttle:
    """Counts what somebody does; the first time starts a clock, and when it ends all is forgotten.

    The store learns digests of names, never the names.
    """

    def __init__(self, shared: Shared, name: str, *, most: int, window_s: int) -> None:
        self._shared = shared
        self._name = name
        self._most = most
        self._window_s = window_s

    async def check(self, who: str) -> None:
        """Refuse somebody who did it too often, and count nothing.

        :raises ProtocolError: 429 `rate_limited` with `Retry-After`.
        """
        key = self._key(who)
        if await self._shared.count(key, ttl_s=self._window_s, by=0) >= self._most:
            raise await self._refusal(key)

    async def add(self, who: str) -> None:
        """Count it, and refuse what is once too often; raises as `check` does."""
        key = self._key(who)
        count = await self._shared.count(key, ttl_s=self._window_s)
        if count == 1:
            end_s = int(time.time()) + self._window_s
            await self._shared.put(f"{key}:end", str(end_s), ttl_s=self._window_s)
        if count > self._most:
            raise await self._refusal(key)

    async def take_back(self, who: str) -> None:
        """Count one less."""
        await self._shared.count(self._key(who), ttl_s=self._window_s, by=-1)

    async def _refusal(self, key: str) -> ProtocolError:
        end = await self._shared.get(f"{key}:end")
        wait_s = int(end) - int(time.time()) if end else self._window_s
        return ProtocolError(
            429,
            "rate_limited",
            "Too many attempts; try again later.",
            headers={"Retry-After": str(min(max(wait_s, 1), self._window_s))},
        )

    def _key(self, who: str) -> str:
        return f"{self._name}:{hashlib.sha256(who.encode(errors='surrogatepass')).hexdigest()[:32]}"
