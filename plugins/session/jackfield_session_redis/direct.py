"""The way to one server: at an address, at a socket, or wherever Sentinel says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
from redis.exceptions import ConnectionError as Disconnected, ReadOnlyError, ResponseError

from jackfield_session_redis.link import Connection, Link, Part


class DirectLink(Link):
    """Keeps its connections, the one used last first, and opens another when all are in use."""

    def __init__(
        self, make: Callable[[], Connection], where: str, *, pool_size: int, timeout_s: float
    ) -> None:
        super().__init__(where, pool_size=pool_size, timeout_s=timeout_s)
        self._make = make
        self._idle: list[Connection] = []

    async def _send(self, command: Sequence[Part]) -> Any:
        connection = self._idle.pop() if self._idle else self._make()
        in_step = False  # nothing of this command, or of its answer, is under way
        try:
            await _prepare(connection)
            await connection.send_command(*command)
            answer = await connection.read_response()
            in_step = True
            return answer
        except ResponseError as error:
            in_step = not isinstance(error, ReadOnlyError)  # of a former primary: look up the address anew
            raise
        finally:
            if not in_step:
                with anyio.CancelScope(shield=True):
                    await connection.disconnect(nowait=True)
            self._idle.append(connection)

    async def _send_everywhere(self, command: Sequence[Part]) -> list[Any]:
        return [await self._in_time(command)]

    async def listener(self) -> Connection:
        return self._make()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect()


async def _prepare(connection: Connection) -> None:
    """Make sure that it is open. What was closed meanwhile is opened again, nothing having been sent."""
    await connection.connect()
    try:
        stale = await connection.can_read()
    except (Disconnected, OSError):
        stale = True
    if stale:
        await connection.disconnect(nowait=True)
        await connection.connect()
