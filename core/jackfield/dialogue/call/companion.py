"""A task beside another one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio


class Companion:
    """Does one job at a time, for a task that does something else meanwhile.

    It is there for as long as a call: beginning a task for each job takes longer than many a job.
    """

    def __init__(self) -> None:
        self._job: Callable[[], Awaitable[None]] | None = None
        self._wanted = anyio.Event()
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()
        self._failure: Exception | None = None
        self._gone = False

    def begin(self, job: Callable[[], Awaitable[None]]) -> None:
        """Have a job done. The one before has to be over. Returns at once."""
        if not self._gone:
            self._job = job
            self._wanted.set()

    async def finish(self) -> None:
        """Wait until the job is done; return at once if none was begun. Raises what the job has raised."""
        if self._job is not None:
            await self._over.wait()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def abandon(self) -> None:
        """Cancel the job, and wait for its end whatever happens."""
        if self._job is not None:
            self._scope.cancel()
        with anyio.CancelScope(shield=True), suppress(Exception):
            await self.finish()

    async def run(self) -> None:
        """Do jobs until cancelled; jobs of later are dropped."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted = anyio.Event()
                if self._job is not None:
                    with self._scope:
                        await self._attempt(self._job)
                    self._end()
        finally:
            self._gone = True
            self._end()

    def _end(self) -> None:
        """Let go who waits for the end of the job, and be ready for the next one."""
        self._job = None
        self._over.set()
        self._over, self._scope = anyio.Event(), anyio.CancelScope()

    async def _attempt(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except Exception as error:  # noqa: BLE001  # raised where the job is waited for
            self._failure = error
