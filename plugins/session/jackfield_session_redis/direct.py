"""The way to one server: at an address, at a socket, or wherever Sentinel says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jackfield_session_redis.connection import Connection, Part
from jackfield_session_redis.link import Link
from jackfield_session_redis.pool import Pool


class DirectLink(Link):
    """Sends everything to the same server."""

    def __init__(
        self, make: Callable[[], Connection], where: str, *, pool_size: int, timeout_s: float
    ) -> None:
        super().__init__(where, pool_size=pool_size, timeout_s=timeout_s)
        self.pool = Pool(make)

    async def _send(self, command: Sequence[Part]) -> Any:
        return await self.pool.exchange(command)

    async def _send_everywhere(self, command: Sequence[Part]) -> list[Any]:
        return [await self._in_time(command)]

    async def listener(self) -> Connection:
        return self.pool.make()

    async def close(self) -> None:
        await self.pool.close()
