"""Events on their way to observers: never in the way of who tells them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import anyio

from jackfield.assembly import Built
from jackfield.contracts.extension import BatchObserver, Event, Observer, ProviderFailed
from jackfield.contracts.panel import Metrics

logger = logging.getLogger(__name__)

QUEUE_EVENTS: Final = 1024
"""Events that may wait for one observer; beyond that the oldest is dropped and counted."""
_CROWD: Final = QUEUE_EVENTS // 2
"""Events that are told at once to an observer that would wait for more."""
_FAREWELL_S: Final = 2.0


class EventBus:
    """Tells every observer of every event, each over a queue and by a task of its own; counts failures."""

    def __init__(self, observers: Sequence[Built[Observer]], metrics: Metrics) -> None:
        dropped = metrics.counter(
            "jackfield_events_dropped_total", "Events that an observer was too slow for.", ["observer"]
        )
        self._failures = metrics.counter(
            "jackfield_provider_failures_total",
            "Failures of providers, by the class of the error.",
            ["section", "error"],
        )
        for observer in observers:
            dropped.inc(observer.plugin, by=0.0)  # so that the first one is seen as growth
        self._lines = [_line(observer, dropped.inc) for observer in observers]

    def publish(self, event: Event) -> None:
        """Tell of an event. Never blocks; called on the event loop."""
        if isinstance(event, ProviderFailed):
            self._failures.inc(event.section, event.error)
        for line in self._lines:
            line.put(event)

    async def run(self) -> None:
        """Deliver until cancelled; what was told by then is still delivered, for two seconds at most."""
        try:
            async with anyio.create_task_group() as tasks:
                for line in self._lines:
                    tasks.start_soon(line.run)
                await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(_FAREWELL_S, shield=True):
                async with anyio.create_task_group() as tasks:
                    for line in self._lines:
                        tasks.start_soon(line.empty)


class _Line:
    """One observer's queue."""

    def __init__(self, built: Built[Observer], dropped: Callable[[str], None]) -> None:
        self._built = built
        self._dropped = dropped
        self._events: deque[Event] = deque()
        self._wake = anyio.Event()

    def put(self, event: Event) -> None:
        if len(self._events) == QUEUE_EVENTS:
            self._events.popleft()
            self._dropped(self._built.plugin)
        self._events.append(event)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self.empty()
            self._wake = anyio.Event()
            await self._wake.wait()

    async def empty(self) -> None:
        while self._events:
            event = self._events.popleft()
            try:
                await self._built.object.observe(event)
            except Exception:  # an observer is somebody else's code
                logger.exception("[%s] %s failed to observe", self._built.section, self._built.plugin)


class _BatchLine:
    """The queue of an observer that takes events together: nobody is woken for each."""

    def __init__(self, built: Built[BatchObserver], dropped: Callable[[str], None]) -> None:
        self._built = built
        self._dropped = dropped
        self._events: deque[Event] = deque()
        self._crowd = anyio.Event()

    def put(self, event: Event) -> None:
        if len(self._events) == QUEUE_EVENTS:
            self._events.popleft()
            self._dropped(self._built.plugin)
        self._events.append(event)
        if len(self._events) == _CROWD:
            self._crowd.set()

    async def run(self) -> None:
        while True:
            with anyio.move_on_after(self._built.object.every_s):
                await self._crowd.wait()
            self._crowd = anyio.Event()
            await self.empty()

    async def empty(self) -> None:
        events = list(self._events)
        self._events.clear()
        try:
            await self._built.object.observe_all(events)
        except Exception:  # an observer is somebody else's code
            logger.exception("[%s] %s failed to observe", self._built.section, self._built.plugin)


def _line(built: Built[Observer], dropped: Callable[[str], None]) -> _Line | _BatchLine:
    observer = built.object
    if isinstance(observer, BatchObserver):
        return _BatchLine(Built(built.section, built.plugin, built.capabilities, observer), dropped)
    return _Line(built, dropped)
