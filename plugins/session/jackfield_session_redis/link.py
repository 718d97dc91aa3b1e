"""The way to Redis: each command is sent once, in bounded time, over one of a bounded number of connections.

Nothing is ever sent twice: an operation that failed may have been done or not, and only whoever asked for it
knows whether it may be repeated. A connection that Redis closed while nobody used it is replaced before
anything is sent. A script that Redis does not know was not run, and is sent with its source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import anyio
from redis.exceptions import NoScriptError, ResponseError

from jackfield_session_redis.connection import Connection, Part
from jackfield_session_redis.failures import FAILURES, cause, unavailable
from jackfield_session_redis.script import Script

_CLOSE_S: Final = 5.0


class Link(ABC):
    """Sends commands. `where` names the place for messages."""

    def __init__(self, where: str, *, pool_size: int, timeout_s: float) -> None:
        self.where = where
        self.timeout_s = timeout_s
        self._in_use = anyio.Semaphore(pool_size, fast_acquire=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await self.close()

    async def run(self, *command: Part) -> Any:
        """Send a command and give the answer.

        :raises StoreUnavailable: when there is none.
        """
        try:
            return await self._in_time(command)
        except FAILURES as error:
            raise unavailable(self.where, error) from cause(error)

    async def script(self, script: Script, keys: Sequence[bytes], *arguments: Part) -> Any:
        """Run a script, whose every key is named.

        :raises StoreUnavailable: when it could not be run.
        """
        rest = (len(keys), *keys, *arguments)
        try:
            return await self._in_time(("EVALSHA", script.digest, *rest))
        except NoScriptError:
            return await self.run("EVAL", script.source, *rest)
        except FAILURES as error:
            raise unavailable(self.where, error) from cause(error)

    async def _in_time(self, command: Sequence[Part]) -> Any:
        with anyio.fail_after(self.timeout_s):
            async with self._in_use:
                return await self._send(command)

    @abstractmethod
    async def _send(self, command: Sequence[Part]) -> Any:
        """Send a command and give the answer."""

    async def run_everywhere(self, *command: Part) -> list[Any]:
        """Send a command to each server that holds part of the data, and give the answers.

        :raises StoreUnavailable: when one does not answer.
        """
        try:
            with anyio.fail_after(self.timeout_s):
                return await self._send_everywhere(command)
        except FAILURES as error:
            raise unavailable(self.where, error) from cause(error)

    async def ask_everywhere(self, *command: Part) -> list[Any]:
        """Do the same with a command that may be forbidden; None stands where there is no answer."""
        try:
            with anyio.fail_after(self.timeout_s):
                return await self._send_everywhere(command)
        except ResponseError:
            return [None]
        except FAILURES as error:
            raise unavailable(self.where, error) from cause(error)

    @abstractmethod
    async def _send_everywhere(self, command: Sequence[Part]) -> list[Any]:
        """Send a command to each server that holds part of the data."""

    @abstractmethod
    async def listener(self) -> Connection:
        """Make a connection, not open yet, for whoever listens to channels."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection."""
