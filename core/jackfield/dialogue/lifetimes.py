"""When conversations began and ended, for figures and observers. The stores expire them by themselves."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from jackfield.contracts.extension import Event, SessionClosed, SessionOpened
from jackfield.contracts.panel import Metrics

_MOST: Final = 10_000
"""Conversations that are followed; beyond that the one unused for longest counts as ended."""
_SWEEP_S: Final = 1.0
_BUCKETS_S: Final = (1.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)


@dataclass(slots=True)
class _Life:
    transport: str
    began_s: float
    last_s: float


class Lifetimes:
    """Follows the conversations that this server has served. Times are of the monotonic clock."""

    def __init__(
        self,
        ttl_s: float,
        metrics: Metrics,
        publish: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_s = ttl_s
        self._publish = publish
        self._clock = clock
        self._lives: OrderedDict[str, _Life] = OrderedDict()  # the one unused for longest first
        self._opened = metrics.counter("jackfield_sessions_total", "Conversations that began.", ["transport"])
        self._active = metrics.gauge("jackfield_active_sessions", "Conversations alive.", ["transport"])
        self._seconds = metrics.histogram(
            "jackfield_session_seconds",
            "Length of ended conversations, from the first turn to the last.",
            ["transport"],
            _BUCKETS_S,
        )

    def seen(self, key: str, transport: str, *, created: bool) -> None:
        """A turn of the conversation was stored."""
        now = self._clock()
        life = self._lives.get(key)
        if life is not None and created:
            self._end(key)
            life = None
        if life is None:
            self._begin(key, transport, now, created=created)
        else:
            life.last_s = now
            self._lives.move_to_end(key)

    def refreshed(self, key: str) -> None:
        """The conversation's clock was restarted without a turn."""
        if key in self._lives:
            self._lives[key].last_s = self._clock()
            self._lives.move_to_end(key)

    def sweep(self) -> None:
        """End the conversations whose time is over."""
        deadline_s = self._clock() - self._ttl_s
        while self._lives:
            key, life = next(iter(self._lives.items()))
            if life.last_s > deadline_s:
                return
            self._end(key)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await anyio.sleep(_SWEEP_S)
            self.sweep()

    def _begin(self, key: str, transport: str, now: float, *, created: bool) -> None:
        if len(self._lives) >= _MOST:
            self._end(next(iter(self._lives)))
        self._lives[key] = _Life(transport, now, now)
        self._active.inc(transport)
        if created:
            self._opened.inc(transport)
            self._publish(SessionOpened(transport=transport, session=key))

    def _end(self, key: str) -> None:
        life = self._lives.pop(key)
        duration_s = life.last_s - life.began_s
        self._active.inc(life.transport, by=-1.0)
        self._seconds.observe(duration_s, life.transport)
        self._publish(SessionClosed(transport=life.transport, session=key, duration_s=duration_s))
