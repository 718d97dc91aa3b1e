"""Connections to one server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
from redis.exceptions import ConnectionError as Disconnected, ReadOnlyError, ResponseError

from jackfield_session_redis.connection import Connection, Part


class Pool:
    """Keeps its connections, the one used last first, and opens another when all are in use."""

    def __init__(self, make: Callable[[], Connection]) -> None:
        self.make = make
        self._idle: list[Connection] = []
        self._closed = False

    async def exchange(self, command: Sequence[Part], *, asking: bool = False) -> Any:
        """Send a command once and give the answer; `asking` asks for what a cluster is about to move."""
        connection = self._idle.pop() if self._idle else self.make()
        in_step = False  # nothing of this command, or of its answer, is under way
        try:
            await _prepare(connection)
            if asking:
                await connection.send_command("ASKING")
                await connection.read_response()
            await connection.send_command(*command)
            answer = await connection.read_response()
            in_step = True
            return answer
        except ResponseError as error:
            in_step = not isinstance(error, ReadOnlyError)  # of a former primary: look up the address anew
            raise
        finally:
            if self._closed or not in_step:
                with anyio.CancelScope(shield=True):
                    await connection.disconnect(nowait=True)
            self._idle.append(connection)

    async def close(self) -> None:
        """Close every connection; those in use as soon as they are not."""
        self._closed = True
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
