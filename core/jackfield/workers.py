"""Threads for libraries that block: bounded, and let go at once when their caller is cancelled."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

import anyio
from anyio import CapacityLimiter, from_thread, to_thread

T = TypeVar("T")
_LEAVING_S: Final = 10.0

logger = logging.getLogger(__name__)


class Workers:
    """At most `limit` blocking calls at once; further callers wait their turn.

    A cancelled caller has control at once. Its thread cannot be stopped from outside, so it keeps its
    place until the call returns: abandoned work never piles up. A call that is made of short pieces ends
    early by calling `anyio.from_thread.check_cancelled()` between them.

    Enter it around all use. Leaving waits for abandoned threads, ten seconds at the most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places = CapacityLimiter(limit)
        self._threads = CapacityLimiter(math.inf)  # the places alone bound them

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        mine = [object() for _ in range(self._limit)]
        with anyio.move_on_after(_LEAVING_S, shield=True):
            for place in mine:
                await self._places.acquire_on_behalf_of(place)
            for place in mine:
                self._places.release_on_behalf_of(place)
            return
        logger.warning("Calls still ran in their threads %g s after the end.", _LEAVING_S)

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` in a thread and give what it returns or raises."""
        job = _Job(call, self._places)
        await self._places.acquire_on_behalf_of(job)
        try:
            return await to_thread.run_sync(job.run, abandon_on_cancel=True, limiter=self._threads)
        finally:
            job.leave()


class _Job(Generic[T]):
    """One call. Its place is given back once, by whichever of caller and thread is the last to leave."""

    def __init__(self, call: Callable[[], T], places: CapacityLimiter) -> None:
        self._call = call
        self._places = places
        self._lock = threading.Lock()
        self._in_thread = False
        self._left = False

    def run(self) -> T:
        with self._lock:
            if self._left:
                raise RuntimeError("the caller left before its thread began")  # seen by nobody
            self._in_thread = True
        try:
            return self._call()
        finally:
            with self._lock:
                self._in_thread = False
                abandoned = self._left
            if abandoned:
                with suppress(RuntimeError):  # the event loop is gone, and the places with it
                    from_thread.run_sync(self._places.release_on_behalf_of, self)

    def leave(self) -> None:
        """The caller goes; called on the event loop."""
        with self._lock:
            self._left = True
            running = self._in_thread
        if not running:
            self._places.release_on_behalf_of(self)
