"""Passing on the outputs of the first member of a chain that gives useful ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from jackfield.errors import ProviderBadReply, ProviderTimedOut
from jackfield.resilience.chain import Attempt, Member
from jackfield.resilience.watch import Patience, Watch

T = TypeVar("T")
P = TypeVar("P")


async def relay(
    attempts: Iterator[Attempt[P]],
    start: Callable[[Member[P]], AsyncGenerator[T, None]],
    *,
    useful: Callable[[T], bool],
    may_end: Callable[[Sequence[T]], bool],
    busy_since: Callable[[], float | None] | None = None,
) -> AsyncGenerator[T, None]:
    """Yield what a member yields, going to the next one while nothing useful came.

    What comes before useful output is held back, so that nothing of a member that is left is ever seen.
    `may_end` says whether an answer may consist of nothing but such outputs, `busy_since` since when a member
    has what it needs to go on (the event loop's time), None while it has not.

    :raises ProviderError: the failure of the last member, or one that concerns no other.
    """
    for attempt in attempts:
        delivered = False
        try:
            async with aclosing(start(attempt.member)) as outputs:
                held, delivered = await _until_useful(outputs, useful, attempt.limit_s, busy_since)
                if not delivered and not attempt.last and not may_end(held):
                    raise ProviderBadReply("the answer is empty")
                for output in held:
                    yield output
                with _StallWatch(attempt, busy_since) as watch:
                    async for output in outputs:
                        watch.outputs += 1
                        watch.waiting = False
                        yield output
                        watch.waiting = True
            attempt.succeeded()
        except Exception as error:  # a plugin is somebody else's code
            if not attempt.failed(error, useful=delivered):
                raise
        else:
            return
        finally:
            attempt.over(useful=delivered)


async def _until_useful(
    outputs: AsyncGenerator[T, None],
    useful: Callable[[T], bool],
    limit_s: float,
    busy_since: Callable[[], float | None] | None,
) -> tuple[list[T], bool]:
    """Give the outputs up to the first useful one, or all there are, and whether there was one.

    :raises ProviderTimedOut: when it took too long.
    """
    held: list[T] = []
    watch = Watch(limit_s, Patience(limit_s), busy_since)
    try:
        watch.begin_wait()
        async for output in outputs:
            held.append(output)
            if useful(output):
                watch.end_wait()
                return held, True
        watch.end_wait()
    except (asyncio.CancelledError, Exception) as error:  # some turn a cancellation into an error
        watch.end_wait(cancelled=isinstance(error, asyncio.CancelledError))
        raise
    else:
        return held, False
    finally:
        watch.stop()


class _StallWatch:
    """Blames a member that falls silent within its answer, so that later requests go elsewhere.

    The answer itself is not given up: it may still go on, and nobody else could end it. One timer looks
    whether there was no output since it looked last.
    """

    __slots__ = ("_attempt", "_busy_since", "_loop", "_seen", "_timer", "outputs", "waiting")

    def __init__(self, attempt: Attempt[Any], busy_since: Callable[[], float | None] | None) -> None:
        self._attempt = attempt
        self._busy_since = busy_since
        self._seen = -1
        self.outputs = 0
        """How many there were."""
        self.waiting = True
        """Whether the next is waited for, and the consumer not at work. Both are set for each output."""

    def __enter__(self) -> _StallWatch:
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._attempt.patience_s, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        waiting = self.waiting and not (self._busy_since and self._busy_since() is None)
        if waiting and self.outputs == self._seen:
            self._attempt.blamed(ProviderTimedOut("it fell silent within its answer"))
            return
        self._seen = self.outputs if waiting else -1
        self._timer = self._loop.call_later(self._attempt.patience_s, self._look)
