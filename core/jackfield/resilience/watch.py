"""Noticing that a provider is waited for too long."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from jackfield.errors import ProviderTimedOut

_IDLE_LOOK_S: Final = 0.1
"""When to look again, at the earliest, if nothing is being waited for."""
_CLOSE_S: Final = 1e-6
"""What is left of a limit that is not worth another look: sums of times are not exact."""


class Patience:
    """How long one provider is still waited for in a turn, over all of its requests."""

    def __init__(self, total_s: float) -> None:
        self.left_s = total_s


class Watch:
    """A timer that cancels the task which has waited too long for an output.

    Its own cancellation is told from others by the task's count of them: who cancels counts up, and who
    answers for a cancellation counts down again. Without a limit there is no timer. `busy_since` says since
    when the provider has what it needs to go on, None while it has not: that is no waiting for it.
    """

    __slots__ = (
        "_busy_since",
        "_cancelling",
        "_clock",
        "_fired",
        "_limit_s",
        "_loop",
        "_patience",
        "_since",
        "_task",
        "_timer",
        "_waited_s",
    )

    def __init__(
        self, first_s: float, patience: Patience, busy_since: Callable[[], float | None] | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._patience = patience
        self._busy_since = busy_since
        self._limit_s = min(first_s, patience.left_s)
        self._waited_s = 0.0
        self._since: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0  # cancellations of the task before the present wait
        self._fired = False
        self._timer: asyncio.TimerHandle | None = None
        if self._limit_s < math.inf:
            self._timer = self._loop.call_later(self._limit_s, self._look)

    def begin_wait(self) -> None:
        """The provider is asked for an output."""
        task = self._task = asyncio.current_task(self._loop)  # not told the loop, it makes a system call
        assert task is not None
        self._cancelling = task.cancelling()
        self._since = self._clock()

    def end_wait(self, *, cancelled: bool = False) -> None:
        """The provider answered, in one way or another; ends a wait once.

        :raises ProviderTimedOut: when it took too long, unless somebody else cancelled it as well.
        """
        if self._since is None:
            return
        self._waited_s += self._clock() - self._since
        self._since = None
        if self._fired:
            self._fired = False
            others = self._task is not None and self._task.uncancel() > self._cancelling
            if not (cancelled and others):
                raise ProviderTimedOut("no output in time") from None

    def delivered(self) -> None:
        """There was useful output: from now on only the whole waiting is bounded."""
        self._limit_s = self._patience.left_s

    def stop(self) -> None:
        """Look no more, and use up the patience."""
        if self._timer is not None:
            self._timer.cancel()
        self._patience.left_s -= self._waited_s

    def _look(self) -> None:
        delay_s = max(self._limit_s - self._waited_s, _IDLE_LOOK_S)
        if self._since is not None and self._task is not None:
            remaining_s = self._limit_s - self._waited_s - (self._clock() - self._begun_s(self._since))
            if remaining_s > _CLOSE_S:
                delay_s = remaining_s
            else:
                self._fired = True
                self._task.cancel()
                return
        self._timer = self._loop.call_later(delay_s, self._look)

    def _begun_s(self, since_s: float) -> float:
        """Since when the provider is really waited for."""
        if self._busy_since is None:
            return since_s
        busy_since_s = self._busy_since()
        return self._clock() if busy_since_s is None else max(since_s, busy_since_s)
