"""Time limits and retries round one provider's stream of outputs.

Time counts only while the provider is waited for, never while the consumer is at work. One timer a turn
looks at when the wait began; an output costs two readings of the clock, no timer and no task.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import anyio

from jackfield.errors import ProviderError, ProviderTimedOut, StoreUnavailable
from jackfield.resilience.retry import wait_before_retry
from jackfield.resilience.watch import Patience, Watch

__all__ = ["Patience", "guard", "in_time", "store_in_time"]

T = TypeVar("T")


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
    watch = Watch(first_s, patience)
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
    watch = Watch(limit_s, Patience(limit_s))
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


async def store_in_time(answer: Awaitable[T], limit_s: float) -> T:
    """Give what a session store answers.

    :raises StoreUnavailable: when it takes longer, or says itself that it took too long.
    """
    try:
        return await in_time(answer, limit_s)
    except (ProviderTimedOut, TimeoutError) as error:
        raise StoreUnavailable("the session store did not answer in time") from error
