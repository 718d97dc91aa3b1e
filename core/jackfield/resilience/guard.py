"""Time limits and retries round one provider's stream of outputs.

Time counts only while the provider is waited for, never while the consumer is at work. One timer a turn
looks at when the wait began; an output costs two readings of the clock, no timer and no task.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeVar

import anyio

from jackfield.errors import ProviderError, ProviderTimedOut
from jackfield.resilience.retry import wait_before_retry

T = TypeVar("T")

_IDLE_LOOK_S: Final = 0.1
"""When to look again if nothing is being waited for and no time is left."""


async def guard(
    start: Callable[[], AsyncGenerator[T, None]],
    *,
    first_s: float,
    total_s: float,
    useful: Callable[[T], bool],
) -> AsyncGenerator[T, None]:
    """Yield what `start()` yields, repeating a retryable failure that came before useful output.

    `first_s` bounds the wait for the first output, `total_s` all waiting together.

    :raises ProviderTimedOut: when either is over; the provider's generator was closed.
    :raises ProviderError: when the provider failed for good.
    """
    watch = _Watch(first_s, total_s)
    attempt = 0
    try:
        while True:
            delivered = False
            try:
                async with aclosing(start()) as outputs:
                    while True:
                        try:
                            output = await watch.next(outputs)
                        except StopAsyncIteration:
                            return
                        delivered = delivered or useful(output)
                        yield output
            except ProviderError as error:
                wait_s = None if delivered else wait_before_retry(error, attempt)
                if wait_s is None:
                    raise
            await anyio.sleep(wait_s)
            attempt += 1
    finally:
        watch.stop()


class _Watch:
    """A timer that cancels the task which has waited too long for an output."""

    def __init__(self, first_s: float, total_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._left_s = total_s
        self._limit_s = min(first_s, total_s)  # of the present wait
        self._since: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._fired = False
        self._timer = self._loop.call_later(self._limit_s, self._look)

    async def next(self, outputs: AsyncGenerator[T, None]) -> T:
        """Wait for the next output.

        :raises StopAsyncIteration: when there is none.
        :raises ProviderTimedOut: when the wait was too long.
        """
        if self._task is None:
            self._task = asyncio.current_task()
        self._since = self._clock()
        try:
            output = await outputs.__anext__()
        except asyncio.CancelledError:
            if self._fired and self._task is not None and self._task.uncancel() == 0:
                raise ProviderTimedOut("no output in time") from None
            raise
        finally:
            self._left_s -= self._clock() - self._since
            self._since = None
        self._limit_s = self._left_s
        return output

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._since is None or self._task is None:
            self._timer = self._loop.call_later(max(self._limit_s, _IDLE_LOOK_S), self._look)
            return
        remaining_s = self._limit_s - (self._clock() - self._since)
        if remaining_s > 0:
            self._timer = self._loop.call_later(remaining_s, self._look)
        else:
            self._fired = True
            self._task.cancel()
