"""Opening what was built, side by side, and closing it in reverse."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from jackfield.assembly import Built
from jackfield.errors import ConfigError, JackfieldError, PluginError, Problem

logger = logging.getLogger(__name__)

_CLOSE_S: Final = 15.0
"""Seconds that one object may take to close; longer than `Workers` waits for abandoned calls."""


class Openings:
    """Opens objects stage by stage, those of one stage side by side, in tasks of `tasks`.

    Whoever opens must close, whatever happened meanwhile.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._stages: list[Sequence[_Keeper]] = []

    async def open(self, stage: Iterable[Built[object]]) -> list[Problem]:
        """Enter every object that is an async context manager; gives what is wrong with those that failed."""
        keepers = [
            _Keeper(built, built.object)
            for built in stage
            if isinstance(built.object, AbstractAsyncContextManager)
        ]
        await checkpoint_if_cancelled()  # whoever stops the start opens nothing more
        self._stages.append(keepers)
        for keeper in keepers:
            self._tasks.start_soon(keeper.run, name=keeper.section)
        for keeper in keepers:
            await keeper.settled.wait()
        return [problem for keeper in keepers for problem in keeper.problems]

    async def close(self) -> None:
        """Leave everything that was entered, the last stage first; a cancellation waits for it."""
        with anyio.CancelScope(shield=True):
            for stage in reversed(self._stages):
                for keeper in stage:
                    keeper.end()
                for keeper in stage:
                    await keeper.gone.wait()


class _Keeper:
    """Enters one object and leaves it in one task, as the cancel scopes that it may open require."""

    def __init__(self, built: Built[object], opening: AbstractAsyncContextManager[object]) -> None:
        self.section = built.section
        self.problems: Sequence[Problem] = ()
        self.settled = anyio.Event()
        """The object is open, or did not open."""
        self.gone = anyio.Event()
        self._plugin = built.plugin
        self._opening = opening
        self._end = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Open the object, and close it when the end has come."""
        try:
            with self._scope:
                await self._keep()
            if self._scope.cancelled_caught and self._end.is_set():
                logger.warning("[%s] %s did not close within %g s", self.section, self._plugin, _CLOSE_S)
        except Exception:  # a plugin is somebody else's code
            logger.exception("[%s] %s failed, and is closed", self.section, self._plugin)
        finally:
            self.settled.set()
            self.gone.set()

    def end(self) -> None:
        """Let the object be closed; one that is not open yet stops opening."""
        if not self.settled.is_set():
            self._scope.cancel()
            return
        self._end.set()
        self._scope.deadline = anyio.current_time() + _CLOSE_S

    async def _keep(self) -> None:
        async with AsyncExitStack() as stack:
            self.problems = await self._enter(stack)
            # From here on only `end` closes it, so that what depends on it is closed before.
            self._scope.shield = True
            self.settled.set()
            if not self.problems:
                await self._end.wait()

    async def _enter(self, stack: AsyncExitStack) -> Sequence[Problem]:
        began_s = time.monotonic()
        try:
            await stack.enter_async_context(self._opening)
        except (ConfigError, PluginError) as error:
            return error.problems
        except Exception as error:  # a plugin is somebody else's code
            logger.debug("opening %s failed", self.section, exc_info=True)
            known = isinstance(error, JackfieldError | OSError)
            reason = str(error).rstrip(".") if known else f"{type(error).__name__} while it was opened"
            fix = "" if known else 'With log_level = "DEBUG" in [server] the log shows where.'
            return [Problem(self.section, f'"{self._plugin}" cannot start: {reason}.', fix)]
        kind = self.section.split(".", 1)[0]
        logger.info("loaded %s %s in %.2f s", kind, self._plugin, time.monotonic() - began_s)
        return ()
