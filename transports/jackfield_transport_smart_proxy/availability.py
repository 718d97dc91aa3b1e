"""Whether the backend is there: found out by asking its health, and by every message that does not arrive."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

_FRESH_S: Final = 2.0
"""Age up to which the outcome of a probe is told without asking again."""
_ASK_S: Final = 1.0
"""How long whoever asks waits for a newer one."""
_FAILED_PROBES: Final = 2
"""Probes in a row that must fail until the backend counts as gone; one may just have been slow."""


class Availability:
    """Goes both ways by itself: one good probe switches on, two bad ones or `lost` switch off."""

    def __init__(
        self,
        probe: Callable[[], Awaitable[bool]],
        *,
        interval_s: float,
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.available = False
        self.changed: Callable[[bool], None] = lambda _available: None
        """Told of every change."""
        self._probe = probe
        self._interval_s = interval_s
        self._logger = logger
        self._clock = clock
        self._healthy = False
        self._probed_at_s = -_FRESH_S
        self._lost_at_s = 0.0
        self._failed = 0
        self._wanted = anyio.Event()
        self._answered = anyio.Event()

    def lost(self, reason: str) -> None:
        """Note that the backend did not do what it was asked."""
        self._lost_at_s = self._clock()
        self._switch(False, reason)

    async def look(self) -> None:
        """Probe once."""
        began_at_s = self._clock()
        healthy = await self._probe()
        self._healthy, self._probed_at_s = healthy, self._clock()
        self._failed = 0 if healthy else self._failed + 1
        if healthy and began_at_s >= self._lost_at_s:
            self._switch(True, "it is healthy")
        elif self._failed >= _FAILED_PROBES:
            self._switch(False, "it is not healthy")

    async def run(self) -> None:
        """Probe now and then, and whenever somebody asks, until cancelled."""
        while True:
            began_at_s = self._clock()
            await self.look()
            self._wanted = anyio.Event()
            self._answered.set()
            self._answered = anyio.Event()
            with anyio.move_on_after(max(0.0, began_at_s + self._interval_s - self._clock())):
                await self._wanted.wait()

    async def now(self) -> bool:
        """Say whether the backend is there, by a probe that is not older than two seconds."""
        if self._clock() - self._probed_at_s > _FRESH_S:
            self._wanted.set()
            with anyio.move_on_after(_ASK_S) as waiting:
                await self._answered.wait()
            if waiting.cancelled_caught:
                return False
        return self._healthy and self.available

    def _switch(self, available: bool, reason: str) -> None:
        if available != self.available:
            self.available = available
            self._logger.info("the backend is %s: %s", "there" if available else "gone", reason)
            self.changed(available)
