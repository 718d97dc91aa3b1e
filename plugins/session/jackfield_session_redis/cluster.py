"""The way to a cluster: every command to the server that has its key."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError as Disconnected,
    MovedError,
    RedisClusterException,
    ResponseError,
    TryAgainError,
)

from jackfield_session_redis.connection import Connection, Part
from jackfield_session_redis.link import Link
from jackfield_session_redis.pool import Pool

Host = tuple[str, int]

_MOST_TRIES: Final = 8
"""Of one command, each at the server that the one before has named, or after a short wait."""
_MOVING_S: Final = 0.05
_PATIENCE: Final = 4
"""How many servers that hang may be asked for the slots before the time of an operation is over."""


class ClusterLink(Link):
    """Knows which server has which slots, and learns it again when that has changed or a server is away.

    A command is sent again only to where a server sent it on without doing it.
    """

    def __init__(
        self,
        seeds: Sequence[Host],
        make: Callable[[Host], Connection],
        where: str,
        *,
        pool_size: int,
        timeout_s: float,
    ) -> None:
        super().__init__(where, pool_size=pool_size, timeout_s=timeout_s)
        self._seeds = list(seeds)
        self._make = make
        self._pools: dict[Host, Pool] = {}
        self._slots: list[Host | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._primaries: tuple[Host, ...] = ()
        self._listeners = itertools.count()
        self._stale = True
        self._learning = anyio.Lock()

    async def _send(self, command: Sequence[Part]) -> Any:
        await self._learn()
        slot = key_slot(_first_key(command))
        host = self._slots[slot]
        if host is None:
            self._stale = True
            raise RedisClusterException("No server has the slot.")
        asking = False
        for _ in range(_MOST_TRIES):
            try:
                return await self._pool(host).exchange(command, asking=asking)
            except MovedError as moved:
                host, asking = (moved.host or host[0], moved.port), False
                self._slots[slot] = host
                self._stale = True
            except AskError as ask:
                host, asking = (ask.host or host[0], ask.port), True
            except TryAgainError:
                await anyio.sleep(_MOVING_S)
            except (Disconnected, ClusterDownError, OSError):
                self._stale = True
                raise
        raise RedisClusterException("The servers send one another's commands round in a circle.")

    async def _send_everywhere(self, command: Sequence[Part]) -> list[Any]:
        await self._learn()
        try:
            return [await self._pool(host).exchange(command) for host in self._primaries]
        except (Disconnected, OSError):
            self._stale = True
            raise

    async def listener(self) -> Connection:
        """Take the next server each time: a cluster tells each of them what is published."""
        with anyio.fail_after(self.timeout_s):
            await self._learn()
        return self._make(self._primaries[next(self._listeners) % len(self._primaries)])

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()

    def _pool(self, host: Host) -> Pool:
        if host not in self._pools:
            self._pools[host] = Pool(lambda: self._make(host))
        return self._pools[host]

    async def _learn(self) -> None:
        """Ask who has which slots, unless that is known."""
        if not self._stale:
            return
        async with self._learning:
            if not self._stale:
                return
            failure: Exception | None = None
            for host in dict.fromkeys((*self._primaries, *self._seeds)):
                try:
                    with anyio.fail_after(self.timeout_s / _PATIENCE):
                        answer = await self._pool(host).exchange(("CLUSTER", "SLOTS"))
                except ResponseError as error:
                    raise RedisClusterException("It is no cluster.") from error
                except (Disconnected, OSError) as error:
                    failure = error
                    continue
                if answer:
                    await self._note(host, answer)
                    return
                failure = RedisClusterException("It has joined no cluster yet, or has left it.")
            if failure is not None:
                raise failure

    async def _note(self, asked: Host, ranges: Sequence[Sequence[Any]]) -> None:
        """Keep what a server told: ranges of slots, each with its primary and replicas."""
        slots: list[Host | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, primary, *_replicas in ranges:
            name = (primary[0] or b"").decode() or asked[0]  # a server may not know its own name
            slots[first : last + 1] = [(name, int(primary[1]))] * (last + 1 - first)
        self._slots = slots
        self._primaries = tuple({host for host in slots if host is not None})
        self._stale = False
        for host in self._pools.keys() - {*self._primaries, *self._seeds}:
            await self._pools.pop(host).close()


def _first_key(command: Sequence[Part]) -> bytes:
    """Name a key of a command; all of its keys are in the same slot."""
    key = command[3] if command[0] in ("EVALSHA", "EVAL") else command[1]
    if not isinstance(key, bytes):
        raise TypeError("A command for a cluster begins with a key.")
    return key
