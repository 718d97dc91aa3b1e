"""Reading ahead: while the user speaks, or has yet to, the model reads what the next prompt begins with."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from jackfield.errors import JackfieldError

logger = logging.getLogger(__name__)


class Foresight:
    """Has `show` run once at a time, in the tasks of a call. What fails costs no more than its time."""

    def __init__(self, show: Callable[[], Awaitable[None]]) -> None:
        self._show = show
        self._scope: anyio.CancelScope | None = None  # while it runs

    def begin(self, tasks: TaskGroup) -> None:
        """Begin to read, unless that has begun. Returns at once."""
        if self._scope is None:
            self._scope = anyio.CancelScope()
            tasks.start_soon(self._read, self._scope)

    def end(self) -> None:
        """Read no further: the prompt itself is there, or another is to come. Returns at once."""
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None

    async def _read(self, scope: anyio.CancelScope) -> None:
        if scope.cancel_called:
            return  # before anything was asked of the model
        with scope:
            try:
                await self._show()
            except JackfieldError as error:
                logger.warning("the model cannot read ahead: %s", type(error).__name__)
            except Exception:
                logger.exception("the model cannot read ahead")
        if self._scope is scope:
            self._scope = None
