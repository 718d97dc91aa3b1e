"""The way to a cluster: every key to the server that has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio.cluster import RedisCluster

from jackfield_session_redis.link import Connection, Link, Part


class ClusterLink(Link):
    """Leaves it to the SDK which server has a key, and to follow one that moves."""

    def __init__(self, client: RedisCluster, where: str, *, pool_size: int, timeout_s: float) -> None:
        super().__init__(where, pool_size=pool_size, timeout_s=timeout_s)
        self._client = client

    async def _send(self, command: Sequence[Part]) -> Any:
        return await self._client.execute_command(*command)

    async def _send_everywhere(self, command: Sequence[Part]) -> list[Any]:
        await self._client.initialize()
        return [
            await self._client.execute_command(*command, target_nodes=node)
            for node in self._client.get_primaries()
        ]

    async def listener(self) -> Connection:
        await self._client.initialize()
        node = self._client.get_random_primary_node()
        made = node.connection_class(**node.connection_kwargs)
        return cast("Connection", made)  # the SDK's class has few annotations

    async def close(self) -> None:
        await self._client.aclose()
