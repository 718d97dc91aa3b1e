"""Time limits and retries round one provider's stream of outputs.

Time counts only while the provider is waited for, never while the consumer is at work. One timer a turn
looks at when the wait began; an output costs two readings of the clock, no timer and no task.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeVar

import anyio

from jackfield.errors import ProviderError, ProviderTimedOut
from jackfield.resilience.retry import wait_before_retry

T = TypeVar("T")

_IDLE_LOOK_S: Final = 0.1
"""When to look again, at the earliest, if nothing is being waited for."""


class Patience:
    """How long one provider is still waited for in a turn, over all of its requests."""

    def __init__(self, total_s: float) -> None:
        self.left_s = total_s


async def guard(
    start: Callable[[], AsyncGenerator[T, None]],
    *,
    first_s: float,
    patience: Patience,
    useful: Callable[[T], bool],
) -> AsyncGenerator[T, None]:
    """Yield what `start()` yields, repeating a retryable failure that came before useful output.

    `first_s` bounds the waiting for the first useful output, repetitions included; `patience` bounds all
    waiting and is used up by it.

    :raises ProviderTimedOut: when either is over; the provider's generator was closed.
    :raises ProviderError: when the provider failed for good.
    """
    watch = _Watch(first_s, patience)
    delivered = False
    attempt = 0
    try:
        while True:
            try:
                async with aclosing(start()) as outputs:
                    watch.begin_wait()
                    async for output in outputs:
                        watch.end_wait()
                        if not delivered and useful(output):
                            delivered = True
                            watch.delivered()
                        yield output
                        watch.begin_wait()
                    watch.end_wait()
                return
            except (asyncio.CancelledError, Exception) as error:  # some turn a cancellation into an error
                watch.end_wait(cancelled=isinstance(error, asyncio.CancelledError))
                wait_s = None
                if isinstance(error, ProviderError) and not delivered:
                    wait_s = wait_before_retry(error, attempt)
                if wait_s is None:
                    raise
            await anyio.sleep(wait_s)
            attempt += 1
    finally:
        watch.stop()


async def in_time(answer: Awaitable[T], limit_s: float) -> T:
    """Give what is awaited, for which a timer is set: a cancel scope costs several times as much.

    :raises ProviderTimedOut: when it takes longer; it was cancelled.
    """
    watch = _Watch(limit_s, Patience(limit_s))
    try:
        watch.begin_wait()
        found = await answer
    except (asyncio.CancelledError, Exception) as error:
        watch.end_wait(cancelled=isinstance(error, asyncio.CancelledError))
        raise
    else:
        watch.end_wait()
        return found
    finally:
        watch.stop()


class _Watch:
    """A timer that cancels the task which has waited too long for an output.

    Its own cancellation is told from others by the task's count of them: who cancels counts up, and who
    answers for a cancellation counts down again.
    """

    __slots__ = (
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

    def __init__(self, first_s: float, patience: Patience) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._patience = patience
        self._limit_s = min(first_s, patience.left_s)
        self._waited_s = 0.0
        self._since: float | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0  # cancellations of the task before the present wait
        self._fired = False
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
        self._timer.cancel()
        self._patience.left_s -= self._waited_s

    def _look(self) -> None:
        delay_s = max(self._limit_s - self._waited_s, _IDLE_LOOK_S)
        if self._since is not None and self._task is not None:
            remaining_s = self._limit_s - self._waited_s - (self._clock() - self._since)
            if remaining_s > 0:
                delay_s = remaining_s
            else:
                self._fired = True
                self._task.cancel()
                return
        self._timer = self._loop.call_later(delay_s, self._look)
